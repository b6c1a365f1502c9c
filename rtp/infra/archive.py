"""Zip files whose bytes depend on their contents only, so that the same sources give the same Lambda asset."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.trust import private, project

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold
_SKIPPED_FOLDERS = frozenset({"__pycache__", ".git", ".venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".rtp"})
_SKIPPED_SUFFIXES = (".pyc", ".pyo")

Entry = tuple[str, Path]
"""(path in the archive, file on disk)."""


def tree(folder: Path, prefix: str = "") -> Iterator[Entry]:
    """Yield every file under a folder, without caches, as (prefix + relative path, file)."""
    for base, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        for name in sorted(files):
            if not name.endswith(_SKIPPED_SUFFIXES):
                file = Path(base, name)
                yield prefix + file.relative_to(folder).as_posix(), file


def write(target: Path, entries: Iterable[Entry]) -> Path:
    """Replace target by a zip of the entries, sorted by name. Of a file's mode it has only the executable bit."""
    project.below(target.parent)
    handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as raw, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, file in sorted(entries):
                info = zipfile.ZipInfo(name, _EPOCH)
                executable = file.stat().st_mode & 0o100
                info.external_attr = (0o100755 if executable else 0o100644) << 16
                info.create_system = 3  # Unix, on every system
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, file.read_bytes())
        Path(scratch).replace(target)
    finally:
        Path(scratch).unlink(missing_ok=True)
    return target


def keep(target: Path, entries: Iterable[Entry], most: int = 10) -> Path:
    """Write target, named `kind-digest.zip`, and delete all but the `most` newest files of its kind."""
    write(target, entries)
    note_digest(target)
    kind = target.name.split("-", 1)[0]
    others = sorted(target.parent.glob(f"{kind}-*{target.suffix}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in others[most:]:
        old.unlink(missing_ok=True)
        _noted(old).unlink(missing_ok=True)
    return target


def note_digest(target: Path) -> None:
    """Write the digest of a file beside it, so that a later run knows it again. Raises OSError."""
    private.write(_noted(target), file_digest(target))


def is_intact(target: Path) -> bool:
    """Whether a cached file is as it was when its digest was noted, and no other user can have written either."""
    if any(private.doubt(path) for path in (target.parent, target, _noted(target))):
        return False
    try:
        return private.read(_noted(target)) == file_digest(target)
    except OSError:
        return False


def file_digest(file: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _noted(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def copy(entries: Iterable[Entry], target: Path) -> None:
    """Copy entries below target, as unpacking their zip would."""
    for name, file in entries:
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.read_bytes())


def digest(parts: Iterable[bytes | str]) -> str:
    """SHA-256 of the parts, each with its length, so that different lists of parts have different digests."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big"))
        sha.update(data)
    return sha.hexdigest()
