"""The settings of an environment with their origins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from rtp.config import tables
from rtp.config.setting_table import table
from rtp.config.settings import Settings
from rtp.text import addresses

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Resolved


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    key: its name in rtp.toml. value: what it is set to. about: what it is.
    origin: where the value comes from: `default`, an option such as `--region`, or such as `rtp.toml [env.prod]`.
    """

    key: str
    value: Any
    origin: str
    about: str


@dataclass(frozen=True, slots=True)
class Listing:
    """An environment's settings.

    file: the rtp.toml that was read; null without one. settings: every setting, where the environment is first.
    """

    env: str
    stack: str
    file: Path | None
    settings: list[Setting]


def listing(resolved: Resolved) -> Listing:
    """List every setting of a resolved environment, the place first."""
    environment = resolved.environment
    document, code = table(tables.Document), table(tables.Processors)
    about = {
        "project": document["project"].description,
        "owner": document["owner"].description,
        **{s.name: s.description for s in table(tables.Place).values()},
        "processors": code["path"].description,
        "requirements": code["requirements"].description,
        **{s.name: s.description for s in table(tables.Infra).values()},
    }
    rows = [
        Setting(key, _shown(getattr(environment, key)), resolved.origins.get(key, "default"), description)
        for key, description in about.items()
    ]
    rows += [
        Setting(f"requirements.{kind}", list(names), resolved.origins["requirements"], f"{kind}s of that project")
        for kind, names in (("extra", environment.requirement_extras), ("group", environment.requirement_groups))
        if names
    ]
    rows += [
        Setting(
            s.name,
            to_builtins(getattr(environment.settings, s.name)),
            resolved.origins.get(s.name, "default"),
            s.description,
        )
        for s in table(Settings).values()
    ]
    return Listing(environment.name, environment.names.stack, environment.file, rows)


def _shown(value: Any) -> Any:
    return addresses.masked(value) if isinstance(value, str) else value
