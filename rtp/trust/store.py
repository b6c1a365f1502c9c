"""What the user trusts: project folders whose owner or mode says nothing, and endpoints that are not AWS's.

They are in `rtp/trust.json` below the user's configuration folder; RTP_TRUST names folders for one run, as PATH does,
or `*` for all.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.errors import ConfigError, RefusedError
from rtp.text import suggest
from rtp.trust import access

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "RTP_TRUST"


@dataclass(frozen=True, slots=True)
class Trusted:
    """folders: real paths. endpoints: URLs by the real path of the project's folder."""

    folders: list[str] = field(default_factory=list)
    endpoints: dict[str, list[str]] = field(default_factory=dict)


def file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file of what is trusted; None for a user without a home."""
    named, home = environ.get("XDG_CONFIG_HOME", ""), environ.get("HOME", "")
    if not home:
        with contextlib.suppress(KeyError):  # a user id without an account, as in some containers
            home = pwd.getpwuid(os.getuid()).pw_dir
    above = named if named.startswith("/") else f"{home}/.config" if home.startswith("/") else ""
    return Path(above, "rtp", "trust.json") if above else None


def read(environ: Mapping[str, str] = os.environ) -> Trusted:
    """Read what is trusted. Raises RefusedError where another user can write the file, ConfigError if it is damaged."""
    path = file(environ)
    if path is None:
        return Trusted()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        trusted = Trusted(_texts(content["folders"]), {k: _texts(v) for k, v in content["endpoints"].items()})
    except (FileNotFoundError, NotADirectoryError):
        return Trusted()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", hint="Let this user read it.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is damaged.", hint="Delete it, then run `rtp trust` again.") from None
    for each in (path, path.parent):
        if reason := access.risk(each, environ):
            raise RefusedError(
                f"{each} {reason}, and it says which folders rtp trusts.",
                hint=suggest.sentence(
                    "Look at it, then run {}.",
                    suggest.command("chmod", "go-w", values=[each]),
                    otherwise="Take the write access from others.",
                ),
                code="untrusted",
            )
    return trusted


def is_trusted(folder: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the user trusts a folder whatever its owner and mode are."""
    real = os.path.realpath(folder)
    named = [name for name in environ.get(VARIABLE, "").split(os.pathsep) if name]
    if "*" in named or real in {os.path.realpath(name) for name in named}:
        return True
    return real in read(environ).folders


def trusts_endpoint(folder: Path, url: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the user agreed that a project's requests go to an endpoint."""
    return url in read(environ).endpoints.get(os.path.realpath(folder), [])


def add(folder: Path, *, endpoint_url: str | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """Trust a folder, or the endpoint that its rtp.toml names. Raises ConfigError."""
    trusted, real = read(environ), os.path.realpath(folder)
    if endpoint_url is None:
        _write(Trusted(sorted({*trusted.folders, real}), trusted.endpoints), environ)
        return
    urls = sorted({*trusted.endpoints.get(real, []), endpoint_url})
    _write(Trusted(trusted.folders, {**trusted.endpoints, real: urls}), environ)


def remove(folder: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Trust neither a folder nor its endpoints any more. Returns whether one was trusted. Raises ConfigError."""
    trusted, real = read(environ), os.path.realpath(folder)
    if real not in trusted.folders and real not in trusted.endpoints:
        return False
    endpoints = {name: urls for name, urls in trusted.endpoints.items() if name != real}
    _write(Trusted([name for name in trusted.folders if name != real], endpoints), environ)
    return True


def _texts(content: object) -> list[str]:
    """A list of texts. Raises TypeError for anything else."""
    if not isinstance(content, list) or not all(isinstance(each, str) for each in content):
        raise TypeError(content)
    return content


def _write(trusted: Trusted, environ: Mapping[str, str]) -> None:
    path = file(environ)
    if path is None:
        raise ConfigError("There is no home folder to note it in.", hint=f"Set {VARIABLE} for this run instead.")
    content: dict[str, Any] = {"folders": trusted.folders, "endpoints": trusted.endpoints}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(content, stream, indent=2)
            Path(draft).replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                Path(draft).unlink()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}.", hint=f"Set {VARIABLE} for this run instead."
        ) from None
