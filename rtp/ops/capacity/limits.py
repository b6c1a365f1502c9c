"""The limits of AWS and of the settings: how much of each a load uses, and at what rate each is reached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rtp.config.setting_table import hints
from rtp.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.ops.capacity.facts import Facts
    from rtp.ops.capacity.flow import Flow
    from rtp.ops.capacity.load import Load

Kind = Literal["steady", "start", "estimate", "comparison"]
Effect = Literal["refused", "delayed", "lost traces", "late logs", "slow start", "timeouts"]
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A limit, and what the load needs of it.

    name: stable name. part: the part of AWS. quota: the limit in its unit. unit: of quota and needed. needed: what the
    load needs. max_rate: events per second at the busiest time at which it is reached, as the average grows too; null
    where the rate does not matter.
    exceeded: whether the load needs more than the quota. kind: steady; start (of a load that begins all at once, until
    AWS has scaled); estimate (AWS does not document how the part counts); comparison (without the data-key reuse that
    the stack has). `--check` looks at the steady ones.
    effect: what happens beyond it: refused (requests get 429 or 503), delayed (events wait in the queue), lost traces,
    late logs, slow start or timeouts. setting: the setting that moves it; empty for none. value: of that setting for
    this load; null where it fits. change: what to change for this load; empty where it fits. origin: setting, account
    (the account's own quota) or default (AWS's). source: the page of AWS about it.
    """

    name: str
    part: str
    quota: float
    unit: str
    needed: float
    max_rate: float | None
    exceeded: bool
    kind: Kind
    effect: Effect
    setting: str = ""
    value: int | None = None
    change: str = ""
    origin: str = "default"
    source: str = ""


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quotas of an account. own: names of those that were read; the others are AWS's defaults.

    unreserved: concurrency of the account that no function reserves; None where it was not read.
    """

    values: Mapping[str, float]
    own: frozenset[str] = frozenset()
    unreserved: int | None = None

    @classmethod
    def defaults(cls, facts: Facts) -> Quotas:
        """AWS's defaults."""
        return cls({name: quota.value for name, quota in facts.quotas.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A load on a pipeline. reserved: concurrency that the API function reserves; None for nothing."""

    settings: Settings
    load: Load
    flow: Flow
    facts: Facts
    quotas: Quotas
    reserved: int | None = None

    def by_setting(self, setting: str, *, per_event: float, scale: float = 1.0, **values: Any) -> Limit:
        """A limit that a setting makes; each unit of the setting allows `scale` of the limit's unit.

        rate: of the events that count, where it is not the rate of the busiest time.
        """
        quota = getattr(self.settings, setting) * scale
        rate = values.pop("rate", self.load.rate)
        needed, about = per_event * rate, values.pop("about", "")
        exceeded = needed > quota * _ROUNDING
        value = min(most(setting), math.ceil(needed / scale / _ROUNDING)) if exceeded else None
        return Limit(
            name=setting.replace("_", "-"),
            quota=quota,
            needed=needed,
            max_rate=quota / per_event * (self.load.rate / rate) if per_event and rate else None,
            exceeded=exceeded,
            kind="steady",
            setting=setting,
            value=value,
            change=""
            if value is None
            else _change(setting, value, needed / scale) + self._more_keys(setting, needed / quota),
            origin="setting",
            source=self.facts.quotas[about].source if about else "",
            **values,
        )

    def _more_keys(self, setting: str, times: float) -> str:
        if setting not in ("key_rate", "daily_quota"):
            return ""
        return f", or send with {math.ceil(times * self.load.keys / _ROUNDING):,} keys"

    def by_quota(
        self,
        name: str,
        *,
        per_event: float,
        fixed: float = 0.0,
        quota: float | None = None,
        about: str = "",
        advice: str = "",
        kind: Kind = "steady",
        **values: Any,
    ) -> Limit:
        """A limit of AWS. about: name of the quota, the limit's own without it. advice: what moves it besides AWS."""
        about = about or name
        default = self.facts.quotas[about]
        quota = self.quotas.values[about] if quota is None else quota
        needed = fixed + per_event * self.load.rate
        exceeded = needed > quota * _ROUNDING
        asking = f"ask AWS for {math.ceil(needed):,} {default.unit} ({default.code})" if default.code else ""
        return Limit(
            name=name,
            quota=quota,
            unit=values.pop("unit", default.unit),
            needed=needed,
            max_rate=max(0.0, (quota - fixed) / per_event) if per_event else None,
            exceeded=exceeded,
            kind=kind,
            change="; or ".join(text for text in (advice, asking) if text) if exceeded else "",
            origin="account" if about in self.quotas.own else "default",
            source=default.source,
            **values,
        )


def most(setting: str) -> int:
    """The largest value that a setting takes."""
    return int(hints(Settings)[setting].__metadata__[0].le)


def _change(setting: str, value: int, needed: float) -> str:
    if value >= needed / _ROUNDING:
        return f"{setting} = {value}"
    return f"{setting} = {value} is the most, {value / needed:.0%} of what this rate needs: {_BEYOND[setting]}"


_BEYOND = {
    "throttle_rate": "send a part of the events directly to the queue",
    "key_rate": "spread the requests among several keys",
    "daily_quota": "spread the requests among several keys",
    "worker_concurrency": "shorten the processor, raise batch_size or batch_concurrency, or use several pipelines",
    "index_shards": "use several pipelines",
}
