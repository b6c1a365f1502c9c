"""rtp.toml and the process environment -> Environment. Knows files and names, never AWS."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rtp.contract import Names
from rtp.errors import ConfigError
from rtp.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "rtp.toml"
DEFAULT_PROJECT = "realtime-processor"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One resolved environment: where it is, how it is guarded, and its pipeline's settings.

    root is the folder of rtp.toml, or the working folder without one; `.rtp/` lives there.
    endpoint_url is None for AWS itself and for the embedded engine, whose URL only the engine knows.
    """

    name: str
    root: Path
    file: Path | None = None
    project: str = DEFAULT_PROJECT
    owner: str = "DataTeam"
    region: str = "us-east-1"
    account: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    protected: bool = False
    processors: Path | None = None  # a .py file or a package folder
    requirements: Path | None = None
    settings: Settings = field(default_factory=Settings)

    @property
    def names(self) -> Names:
        """Physical names of this environment's resources."""
        return Names(self.project, self.name)

    @property
    def embedded(self) -> bool:
        """Whether the embedded engine serves this environment."""
        return self.name == "local" and self.endpoint_url is None

    @property
    def local(self) -> bool:
        """Whether this is an emulator on this machine, embedded or not; never an AWS account."""
        return self.name == "local" or (self.endpoint_url is not None and urlsplit(self.endpoint_url).hostname in LOOPBACK)

    @property
    def state(self) -> Path:
        """Folder of what rtp keeps about this project, such as `.rtp/local` and synthesised templates."""
        return self.root / ".rtp"
