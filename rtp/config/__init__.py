"""rtp.toml and the environments in it: the keys (settings, tables), reading the file, and resolving an environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.config.settings import Settings
from rtp.contract import Names
from rtp.trust import endpoints

if TYPE_CHECKING:
    from pathlib import Path

FILE = "rtp.toml"
DEFAULT_PROJECT = "realtime-processor"
DEFAULT_OWNER = "DataTeam"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One resolved environment: where it is, how it is protected, and the settings of its pipeline.

    root: folder of rtp.toml, or the working folder without one; it contains `.rtp/`. processors: a file, package
    or source folder. requirement_extras, requirement_groups: of the project whose file `requirements` is.
    extend: the file that adds resources. strict: whether findings about them stop a deploy.
    endpoint_url: None for AWS and for the embedded engine, which has its own record of its URL.
    """

    name: str
    root: Path
    file: Path | None = None
    project: str = DEFAULT_PROJECT
    owner: str = DEFAULT_OWNER
    region: str = "us-east-1"
    account: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    protected: bool = False
    weather: bool | int = False
    weather_effects: tuple[str, ...] = ()
    enforce_iam: bool = False
    save_every_s: int = 30
    processors: Path | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    requirements: Path | None = None
    requirement_extras: tuple[str, ...] = ()
    requirement_groups: tuple[str, ...] = ()
    extend: Path | None = None
    strict: bool = False
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
        return self.name == "local" or endpoints.is_loopback(self.endpoint_url)

    @property
    def state(self) -> Path:
        """Folder of rtp's own files of this project, such as the local engine's data and synthesised templates."""
        return self.root / ".rtp"


@dataclass(frozen=True, slots=True)
class Overrides:
    """Options of the command line that select or change an environment; None where not given.

    project_dir: a folder of the project, in place of the current one.
    """

    project_dir: str | None = None
    env: str | None = None
    profile: str | None = None
    region: str | None = None
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """An environment and the origin of each value that is set, such as `rtp.toml [env.prod]`."""

    environment: Environment
    origins: dict[str, str]
