"""The account's own quotas, as far as its credentials may read them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rtp.aws import service_quotas, updates
from rtp.aws.updates import Concurrency
from rtp.errors import RtpError
from rtp.ops.capacity.limits import Quotas
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.ops.capacity.facts import Facts

_CONCURRENCY = "lambda-concurrency"


def read(aws: Aws, facts: Facts) -> tuple[Quotas, list[str]]:
    """The quotas, and a sentence for those that could not be read, which keep AWS's defaults."""
    calls: dict[str, Callable[[], object]] = {
        name: partial(service_quotas.applied, aws, quota.service, quota.code)
        for name, quota in facts.quotas.items()
        if quota.code and name != _CONCURRENCY
    }
    calls[_CONCURRENCY] = partial(updates.concurrency, aws)
    values = dict(Quotas.defaults(facts).values)
    own: set[str] = set()
    unreserved, unread = None, {}
    for name, answer in pool.gather(calls).items():
        if isinstance(answer, RtpError):
            unread[name] = answer.message
        elif isinstance(answer, Exception):
            raise answer  # a bug, which keeps its traceback
        else:
            own.add(name)
            if isinstance(answer, Concurrency):
                unreserved, answer = answer.unreserved, float(answer.limit)
            values[name] = float(answer)  # type: ignore[arg-type]
    return Quotas(values, frozenset(own), unreserved), _notes(unread)


def _notes(unread: dict[str, str]) -> list[str]:
    if not unread:
        return []
    reasons = list(dict.fromkeys(unread.values()))
    names = ", ".join(unread)
    return [f"Not read from the account, so that AWS's defaults are used: {names} ({'; '.join(reasons)})."]
