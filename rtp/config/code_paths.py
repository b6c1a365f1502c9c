"""The user's code as rtp.toml names it, checked where it is used: a reader such as `rtp status` works without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.config import reading
from rtp.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Environment


def processors(environment: Environment) -> Path | None:
    """`path` of [processors]. Raises ConfigError unless it is a file or folder that can be read."""
    return _checked(environment, environment.processors, "[processors] path")


def requirements(environment: Environment) -> Path | None:
    """`requirements` of [processors]. Raises as `processors`."""
    return _checked(environment, environment.requirements, "[processors] requirements")


def extension(environment: Environment) -> Path | None:
    """`extend` of [infra]. Raises as `processors`."""
    return _checked(environment, environment.extend, "[infra] extend")


def _checked(environment: Environment, path: Path | None, key: str) -> Path | None:
    if path is None:
        return None
    where = f"{environment.file}: {key}: {path}"
    try:
        kind = reading.kind_of(path)
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}.", hint="Give yourself access to it.") from error
    if not kind:
        raise ConfigError(f"{where} does not exist.", hint="Paths are relative to the folder of rtp.toml.")
    if kind not in ("file", "folder"):
        raise ConfigError(f"{where} is a {kind}.", hint="Name a file or a folder; rtp reads it more than once.")
    return path
