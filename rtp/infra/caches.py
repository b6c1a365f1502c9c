"""Where rtp and its child processes may cache: in the user's cache folder if only that user can write it.

A cache holds code that runs later, so one that another user can write is never used. Where the user has no such folder
(no home, a read-only or shared one), a private folder below the system's temporary folder takes its place.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


def folder(environ: Mapping[str, str], temporary: Path | None = None) -> Path:
    """The folder for rtp's own caches, in one that only this user can write. Raises ConfigError."""
    own = _users(environ)
    return own / "rtp" if own is not None and is_private(own / "rtp") else fallback(temporary)


def environment(environ: Mapping[str, str], temporary: Path | None = None) -> dict[str, str]:
    """Variables for a child process whose tools (uv, jsii, Node) could not use the user's folders. Raises ConfigError.

    Empty where they can.
    """
    child: dict[str, str] = {}
    home, own = _home(environ), _users(environ)
    if own is None or not is_private(own):
        cache = fallback(temporary)
        child |= {"XDG_CACHE_HOME": str(cache), "JSII_RUNTIME_PACKAGE_CACHE": "disabled"}
        if not environ.get("UV_CACHE_DIR"):
            child["UV_CACHE_DIR"] = str(cache / "uv")
    if home is None:  # Node and uv fail without one
        child["HOME"] = str(fallback(temporary))
    elif not is_private(home / ".cdk"):
        child["CDK_HOME"] = str(fallback(temporary) / "cdk")
    return child


def is_private(path: Path) -> bool:
    """Whether this user can write a folder, or create it, and no other user but root can change its contents."""
    try:
        while not path.exists():
            if path.is_symlink():
                return False
            path = path.parent
        path = path.resolve()
        if not os.access(path, os.W_OK | os.X_OK):
            return False
        return all(_is_safe(each.stat(), is_last=each == path) for each in (path, *path.parents))
    except OSError:  # a folder on the way is closed to this user
        return False


def fallback(temporary: Path | None = None) -> Path:
    """The private folder of this user below the system's temporary folder. Raises ConfigError."""
    path = (temporary or Path(tempfile.gettempdir())) / f"rtp-cache-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise _unusable(path, "another user can write it, or it is no folder")
    return path


def _users(environ: Mapping[str, str]) -> Path | None:
    """The user's cache folder, which may not exist; None for a user without a home."""
    named = environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):  # the specification ignores relative ones
        return Path(named)
    home = _home(environ)
    return home / ".cache" if home is not None else None


def _home(environ: Mapping[str, str]) -> Path | None:
    if environ.get("HOME"):
        return Path(environ["HOME"])
    import pwd

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a user id without an account, as in some containers
        return None


def _is_safe(status: os.stat_result, *, is_last: bool) -> bool:
    """Whether no other user can replace the contents of this folder."""
    if status.st_uid not in (0, os.getuid()):
        return False
    is_shared = bool(status.st_mode & 0o022)
    # In a sticky folder, such as /tmp, nobody can replace what belongs to another user.
    return not is_shared or (bool(status.st_mode & stat.S_ISVTX) and not is_last)


def _unusable(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"There is no private folder for caches: {path}: {reason}.",
        hint="Set XDG_CACHE_HOME to a folder that you alone can write.",
        code="cache-folder",
    )
