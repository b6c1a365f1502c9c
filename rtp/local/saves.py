"""The last complete save, the data of the running engine, and the save that is being written: folders.

`data` is the last complete save and never written to. An engine works in `live`, which starts as a copy of `data` by
hard links. While it runs, a save is written to `draft`; a stop writes everything to `live`. What is written is flushed
to the disk, and only then replaces `data`. If this is interrupted, the previous save is still there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.local import owned
from rtp.trust import private

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.local.state import Folder

_COMPLETE = "saved"  # a file with the time of the save, written last: only a complete save has it
_REPLACED_AS_A_WHOLE = {".json", ".zip", ".gz"}
_FLUSHED_AT_ONCE = 32  # by one thread
_FLUSH_CONCURRENCY = 16  # file systems commit concurrent flushes together


def saved_at(place: Folder, *, copied: bool = False) -> str | None:
    """Time of the save that the next engine starts with, ISO 8601; None if there is none."""
    for folder in 2 * _saved_folders(place, copied=copied):  # an engine may exchange the folders meanwhile
        with contextlib.suppress(OSError):
            return (folder / _COMPLETE).read_text().strip()
    return None


def start(place: Folder) -> None:
    """Create `live` from the last complete save; only for the process that serves the folder."""
    recover(place)
    place.remove(place.live)
    if place.data.exists():
        ignored = shutil.ignore_patterns(_COMPLETE)
        shutil.copytree(place.data, place.live, symlinks=True, copy_function=link, ignore=ignored)
    place.create()


def complete(place: Folder) -> None:
    """Replace `data` with `live`, in which everything is written. Raises OSError and leaves `data` as it was."""
    place.remove(place.draft)  # it is older than `live`
    flush(place.live, place.data)
    _mark_complete(place.live, datetime.now(UTC))
    _exchange(place, place.live)


def begin(place: Folder) -> None:
    """Create an empty draft. Raises OSError."""
    place.remove(place.draft)
    place.draft.mkdir(mode=0o700)  # an existing one still has files of an earlier save
    owned.make(place.draft)


def complete_draft(place: Folder, at: datetime, changed: Iterable[Path]) -> None:
    """Replace `data` with the draft, in which everything is written and flushed. Raises OSError.

    at: time of the data in it. changed: folders of the draft that have changed since they were flushed.
    """
    _flush_all(changed)
    _mark_complete(place.draft, at)
    _exchange(place, place.draft)


def recover(place: Folder) -> None:
    """Finish or undo an exchange of the folders that a kill interrupted; needs the lock or the serving lock."""
    complete_one = next((folder for folder in (place.live, place.draft) if (folder / _COMPLETE).exists()), None)
    if complete_one is not None:
        _exchange(place, complete_one)
    elif place.previous.exists() and not place.data.exists():
        place.previous.rename(place.data)
    place.remove(place.previous)
    place.remove(place.draft)


def discard_run(place: Folder, *, copied: bool = False) -> None:
    """Remove the files of an engine that was killed; the last complete save stays. Needs the lock.

    copied: the folder was copied while its engine was running, so a save in `live` or `draft` may be incomplete.
    """
    if copied:
        place.remove(place.live)
        place.remove(place.draft)
    recover(place)
    for folder in (place.live, place.tmp, place.home):
        place.remove(folder)


def discard(place: Folder) -> None:
    """Remove all saved data."""
    for folder in (place.draft, place.data, place.previous):
        place.remove(folder)


def _saved_folders(place: Folder, *, copied: bool) -> list[Path]:
    """The folders that may have a complete save, the latest first."""
    return [*([] if copied else [place.live, place.draft]), place.data, place.previous]


def _mark_complete(folder: Path, at: datetime) -> None:
    private.write(folder / _COMPLETE, at.isoformat(timespec="seconds") + "\n")
    _flush_all([folder / _COMPLETE, folder])


def _exchange(place: Folder, complete_one: Path) -> None:
    if place.data.exists():
        place.remove(place.previous)
        place.data.rename(place.previous)
    complete_one.rename(place.data)
    _flush_all([place.path])
    place.remove(place.previous)


def link(source: str, target: str) -> str:
    """Link a file that is only replaced as a whole, as all files of S3 are; copy others, and where linking fails."""
    path = Path(source)
    if path.suffix in _REPLACED_AS_A_WHOLE or ("s3" in path.parts and path.suffix != ".tmp"):
        with contextlib.suppress(OSError):
            os.link(source, target)
            return target
    return str(shutil.copy2(source, target))


def flush(folder: Path, saved: Path) -> None:
    """Flush to the disk every folder, and every file that is not also in `saved`, the previous save."""
    paths = []
    for parent, _, names in os.walk(folder):
        before = saved / Path(parent).relative_to(folder)
        paths += [f"{parent}{os.sep}{name}" for name in names if not _is_same(parent, before, name)]
        paths.append(parent)
    _flush_all(paths)


def _is_same(folder: str, other: Path, name: str) -> bool:
    """Whether both folders have one and the same file of this name; also true for what is not a file."""
    status = os.lstat(f"{folder}{os.sep}{name}")
    if not stat.S_ISREG(status.st_mode):
        return True
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.path.samestat(status, os.lstat(f"{other}{os.sep}{name}"))
    return False


def _flush_all(paths: Iterable[str | Path]) -> None:
    every = list(paths)
    parts = [every[start : start + _FLUSHED_AT_ONCE] for start in range(0, len(every), _FLUSHED_AT_ONCE)]
    with ThreadPoolExecutor(_FLUSH_CONCURRENCY) as pool:
        for _ in pool.map(_flush_some, parts):
            pass


def _flush_some(paths: Iterable[str | Path]) -> None:
    for path in paths:
        _flush_one(path)


def _flush_one(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)
