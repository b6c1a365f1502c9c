"""An environment's settings with their origins."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from rtp import settings as table

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Resolved

_PLACE = {
    "project": "first part of every resource's name",
    "owner": "the Owner tag",
    "region": "AWS region",
    "account": "account the credentials must be of",
    "profile": "AWS profile",
    "endpoint_url": "another endpoint than AWS's own",
    "protected": "typed confirmations, data retained, no hotswap",
    "processors": "your processors, a module or a package",
    "requirements": "what goes into the layer beside rtp's own",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; origin is `default`, `--region` or such as `rtp.toml [env.prod]`."""

    key: str
    value: Any
    origin: str
    about: str


@dataclass(frozen=True, slots=True)
class Listing:
    """`config --json`."""

    env: str
    stack: str
    file: Path | None
    settings: list[Setting]


def listing(resolved: Resolved) -> Listing:
    """Every setting of a resolved environment, the place first."""
    environment = resolved.environment
    rows = [
        Setting(key, getattr(environment, key), resolved.origins.get(key, "default"), about)
        for key, about in _PLACE.items()
    ]
    rows += [
        Setting(
            f.name, getattr(environment.settings, f.name), resolved.origins.get(f.name, "default"), f.metadata["about"]
        )
        for f in fields(table.Settings)
    ]
    return Listing(environment.name, environment.names.stack, environment.file, rows)
