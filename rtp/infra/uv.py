"""Runs uv as a child process, and reports the cause where it fails."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.infra import caches
from rtp.text import addresses
from rtp.trust import project, search_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_TIMEOUT_S = 600
_ASKING = ("pip", "build")  # commands of uv that run an interpreter
_SETTINGS = ("uv.toml", "pyproject.toml")  # that uv looks for in its folder and those above: indexes, among others
# pip's settings and the variables of uv for them; uv does not read pip's settings.
_PIP_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
_INDEXES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_NO_INDEX")


class UvError(Exception):
    """uv failed. cause: in one line, without passwords."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def binary() -> str:
    """The path of uv. While another thread reads Python's configuration, sysconfig answers None for what it lacks."""
    from uv import find_uv_bin

    for _ in range(500):
        if sysconfig.get_config_var("EXE") is not None:
            break
        time.sleep(0.01)
    path: str = find_uv_bin()
    return path


def run(*arguments: str, cwd: Path | None = None) -> str:
    """Run uv and return what it printed to stderr. Raises UvError, and RefusedError for another user's settings."""
    project.check_settings((cwd or Path.cwd()).absolute(), _SETTINGS, "uv")
    argv = [binary(), *arguments, *_interpreter(arguments), "--no-progress", "--color", "never"]
    env = environment(os.environ)
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise UvError(f"no result within {_TIMEOUT_S} s") from None
    if done.returncode:
        raise UvError(_cause(done.stderr))
    return done.stderr


def _interpreter(arguments: Sequence[str]) -> tuple[str, ...]:
    """The interpreter that uv asks for its version: without it that of a `.venv` in its folder or above, as in /tmp."""
    return () if arguments[0] not in _ASKING or "--python" in arguments else ("--python", sys.executable)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's environment, with pip's indexes, proxy and certificates where uv has no settings of its own."""
    child = search_paths.absolute(environ) | caches.environment(environ)
    if any(environ.get(name) for name in _INDEXES) or any("index" in text for text in _uv_configurations(environ)):
        return child
    for name, value in _pip_settings(environ).items():
        if (usable := _usable(name, value)) and not environ.get(_PIP_NAMES[name]):
            child[_PIP_NAMES[name]] = usable
    return child


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Pip's settings by their long names. Later files override earlier ones, and pip's variables override files."""
    settings: dict[str, str] = {}
    for file in _pip_files(environ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeError):
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                settings |= {name: value for name, value in parser.items(section) if name in _PIP_NAMES}
    for name in _PIP_NAMES:
        if value := environ.get(f"PIP_{name.upper().replace('-', '_')}"):
            settings[name] = value
    return settings


def _pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    own = environ.get("PIP_CONFIG_FILE")
    if own == os.devnull:
        return
    yield Path("/etc/pip.conf")
    home = Path(environ.get("HOME") or "/nonexistent")
    yield home / ".pip" / "pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if environ.get("VIRTUAL_ENV"):
        yield Path(environ["VIRTUAL_ENV"]) / "pip.conf"
    if own:
        yield Path(own)


def _uv_configurations(environ: Mapping[str, str]) -> Iterator[str]:
    home = Path(environ.get("HOME") or "/nonexistent")
    folder = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "uv"
    for file in (environ.get("UV_CONFIG_FILE"), folder / "uv.toml", "/etc/uv/uv.toml"):
        if file:
            try:
                yield Path(file).read_text(encoding="utf-8")
            except (OSError, UnicodeError):
                continue


def _usable(name: str, value: str) -> str:
    """A setting's value for uv, several values in one line. Missing local folders are left out, as pip ignores them."""
    if name in ("cert", "proxy"):
        return value.strip()
    if name == "no-index":
        return "1" if value.strip().lower() in ("1", "true", "yes", "on") else ""
    values = [v for v in value.split() if "://" in v and not v.startswith("file:")]
    if name == "find-links":
        values += [v for v in value.split() if "://" not in v and Path(v).expanduser().is_dir()]
        return ",".join(values)
    if name == "trusted-host":
        values = value.split()
    return " ".join(values)


def _cause(stderr: str) -> str:
    """The cause, from uv's explanation."""
    lines = [line.strip(" ╰─▶├│^\t") for line in stderr.splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(("hint:", "warning:", "Resolved ")))
    because = text.find("Because ")
    text = text[because:] if because >= 0 else text.removeprefix("error: ").replace(" cause: ", ": ")
    return addresses.masked(text.rstrip(".")) or "uv gave no reason"
