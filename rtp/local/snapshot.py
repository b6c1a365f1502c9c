"""The files of S3 as they are at one moment, linked into a folder while S3 goes on changing them.

S3 replaces files as a whole, so that a hard link keeps the content of the moment. `Snapshot` is in the engine: it links
a file before the file changes for the first time since the moment. `collect` is in the forked child of a save: it links
all others. Neither waits for the other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IGNORED = ".tmp"  # what S3 has not finished writing
_CHECK_EVERY = 256  # files

current: Snapshot | None = None
"""The snapshot that is being taken, in the engine; the patch of S3 reports every change to it."""


class Snapshot:
    """Keeps the files of the moment at which it becomes current, until all are linked. Thread-safe.

    lock: held while it becomes current. error: a file could not be linked, so that the target is not complete.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self.lock = threading.Lock()
        self.error: OSError | None = None
        self._source = source
        self._target = target
        self._changed: set[str] = set()
        self._created: list[str] = []

    def keep(self, path: str) -> None:
        """Link a file of the source into the target; called before the file is written, replaced or deleted."""
        name = os.path.relpath(path, self._source)
        with self.lock:
            if name in self._changed:
                return
            self._changed.add(name)
            try:
                if name.split(os.sep, 1)[0] == os.pardir:
                    raise OSError(f"{path} is not below {self._source}")
                if not os.path.lexists(path):
                    self._created.append(name)
                    return
                target = self._target / name
                target.parent.mkdir(parents=True, exist_ok=True)
                _take(path, str(target))
            except OSError as error:  # the request goes on; the save fails
                self.error = self.error or error

    def keep_below(self, folder: Path) -> None:
        """Link all files below a folder of the source; called before the folder is deleted."""
        for parent, _, names in os.walk(folder):
            for name in names:
                self.keep(f"{parent}{os.sep}{name}")

    def remove_created(self) -> list[Path]:
        """Remove from the target what was created after the moment, and folders that are empty then.

        Returns the folders whose entries have changed and that are still there.
        """
        folders = set()
        for name in self._created:
            path = self._target / name
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                path.unlink()
                folders.add(path.parent)
        changed = {_without_empty(folder, self._target) for folder in folders}
        return sorted(folder for folder in changed if folder.is_dir())  # a later one may have emptied an earlier one


def collect(source: Path, target: Path, check: Callable[[], None]) -> None:
    """Link every file that is not in the target yet.

    check: called again and again; raises to end the collection.
    """
    count = 0
    target.mkdir(exist_ok=True)
    for parent, _, names in os.walk(source):
        folder = target / Path(parent).relative_to(source)
        for name in names:
            if count % _CHECK_EVERY == 0:
                check()
            count += 1
            if not name.endswith(IGNORED):
                _collect_one(f"{parent}{os.sep}{name}", folder, name)


def _collect_one(source: str, folder: Path, name: str) -> None:
    target = f"{folder}{os.sep}{name}"
    # A folder is created with its first file alone: S3 takes one without files for a bucket.
    with contextlib.suppress(FileNotFoundError):
        _take(source, target)
        return
    if os.path.lexists(source):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile, and kept before
            _take(source, target)


def _take(source: str, target: str) -> None:
    """Link a file, or copy it where links are refused, unless the target exists. Raises OSError."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except FileExistsError:
        return
    except OSError:
        # The source is opened first: whoever creates the target then has the file of the moment open.
        with Path(source).open("rb") as file, contextlib.suppress(FileExistsError), Path(target).open("xb") as copy:
            shutil.copyfileobj(file, copy)


def _without_empty(folder: Path, top: Path) -> Path:
    """Remove the folder and those above it that are empty; the first one that is not, or `top`."""
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return folder
        folder = folder.parent
    return folder
