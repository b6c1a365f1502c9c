"""The last complete save and the data of the running engine: two folders that are exchanged when a save is complete.

`data` is the last complete save and never written to. An engine works in `live`, which starts as a copy of `data` by
hard links. A stop writes everything to `live` and flushes it to the disk; only then does `live` replace `data`.
If this is interrupted, the previous save is still there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.local.state import write_private

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.local.state import Folder

_COMPLETE = "saved"  # a file with the time of the save, written last: only a complete save has it
_REPLACED_AS_A_WHOLE = {".json", ".zip", ".gz"}
_FLUSH_CONCURRENCY = 16  # file systems commit concurrent flushes together


def saved_at(place: Folder, *, copied: bool = False) -> str | None:
    """Time of the save that the next engine starts with, ISO 8601; None if there is none."""
    for folder in (place.data, place.previous) if copied else (place.live, place.data, place.previous):
        with contextlib.suppress(OSError):
            return (folder / _COMPLETE).read_text().strip()
    return None


def start(place: Folder) -> None:
    """Create `live` from the last complete save; only for the process that serves the folder."""
    recover(place)
    place.remove(place.live)
    if place.data.exists():
        ignored = shutil.ignore_patterns(_COMPLETE)
        shutil.copytree(place.data, place.live, symlinks=True, copy_function=_link, ignore=ignored)
    place.create()


def complete(place: Folder) -> None:
    """Replace `data` with `live`, in which everything is written. Raises OSError and leaves `data` as it was."""
    _flush(place.live)
    write_private(place.live / _COMPLETE, datetime.now(UTC).isoformat(timespec="seconds") + "\n")
    _flush_all([place.live / _COMPLETE, place.live])
    _exchange(place)


def recover(place: Folder) -> None:
    """Finish or undo an exchange of the folders that a kill interrupted; needs the lock or the serving lock."""
    if (place.live / _COMPLETE).exists():
        _exchange(place)
    elif place.previous.exists() and not place.data.exists():
        place.previous.rename(place.data)
    place.remove(place.previous)


def discard_run(place: Folder, *, copied: bool = False) -> None:
    """Remove the files of an engine that was killed; the last complete save stays. Needs the lock.

    copied: the folder was copied while its engine was running, so a save in `live` may be incomplete.
    """
    if copied:
        place.remove(place.live)
    recover(place)
    for folder in (place.live, place.tmp, place.home):
        place.remove(folder)


def discard(place: Folder) -> None:
    """Remove all saved data."""
    for folder in (place.data, place.previous):
        place.remove(folder)


def _exchange(place: Folder) -> None:
    if place.data.exists():
        place.remove(place.previous)
        place.data.rename(place.previous)
    place.live.rename(place.data)
    _flush_all([place.path])
    place.remove(place.previous)


def _link(source: str, target: str) -> str:
    """Link a file that is only replaced as a whole, as all files of S3 are; copy others, and where linking fails."""
    path = Path(source)
    if path.suffix in _REPLACED_AS_A_WHOLE or ("s3" in path.parts and path.suffix != ".tmp"):
        with contextlib.suppress(OSError):
            os.link(source, target)
            return target
    return str(shutil.copy2(source, target))


def _flush(folder: Path) -> None:
    """Flush every new file to the disk; one with a second link belongs to the previous save and is flushed already."""
    paths = []
    for parent, _, names in os.walk(folder):
        files = [Path(parent, name) for name in names]
        paths += [path for path in files if path.is_file() and path.stat().st_nlink == 1]
        paths.append(Path(parent))
    _flush_all(paths)


def _flush_all(paths: Iterable[Path]) -> None:
    with ThreadPoolExecutor(_FLUSH_CONCURRENCY) as pool:
        for _ in pool.map(_flush_one, paths):
            pass


def _flush_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)
