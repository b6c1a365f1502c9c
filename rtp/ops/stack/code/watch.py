"""Reports which files of a project were saved.

File system events only say when to compare the files' times and sizes; the comparison finds the changes. It needs no
special cases for saves by rename, caches, or folders that are deleted and created again.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from rtp.ops.work.background import Prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_QUIET_MS = 50  # an editor writes a file in several steps
_RESCAN_MS = 1_000  # compare also without an event: some file systems send none, and polling ignores fractions

Files = dict[str, tuple[int, int]]  # name -> time of the last write in ns, and size


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watch compares. paths: files and folders; of a folder, what is not ignored below it."""

    paths: tuple[Path, ...]
    is_ignored: Callable[[str], bool] = lambda _: False


def snapshot(watched: Watched) -> Files:
    """The watched files as they are now."""
    return _scan(watched)[0]


def changes(
    current: Callable[[], Watched], *, since: Files | None = None, force_polling: bool | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield the names of files that were saved, created or deleted, without end.

    current: what is watched; called before each comparison, since a save may change it. A file that is watched from
    then on counts as saved if that was after the last change was yielded.
    since: the files that the first comparison is with; as they are now by default.
    force_polling: do not use file system events; None leaves that to watchfiles.
    """
    watched = current()
    before, folders = _scan(watched)
    before = before if since is None else since
    yielded_ns = time.time_ns()
    while True:
        try:
            with _signals(folders, force_polling=force_polling) as signals:
                for _ in signals:
                    former, watched = watched, current()
                    now, existing = _scan(watched)
                    if watched.paths != former.paths:
                        before = _rebased(before, now, former, watched, yielded_ns)
                    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
                    before = now
                    if changed:
                        yielded_ns = time.time_ns()
                        yield tuple(changed)
                    if existing != folders:
                        folders = existing
                        break
        except FileNotFoundError:  # a folder was deleted before it was watched
            folders = _scan(current())[1]
        except OSError:  # such as no free inotify watches
            if force_polling:
                raise
            force_polling = True


def _rebased(before: Files, now: Files, former: Watched, watched: Watched, yielded_ns: int) -> Files:
    """The files to compare with after the paths have changed: older files of new paths too, none of former paths."""
    rebased = {name: state for name, state in before.items() if _is_covered(name, watched)}
    for name, state in now.items():
        if name not in before and state[0] < yielded_ns and not _is_covered(name, former):
            rebased[name] = state
    return rebased


def _is_covered(name: str, watched: Watched) -> bool:
    return any(name == str(path) or name.startswith(f"{path}{os.sep}") for path in watched.paths)


def _scan(watched: Watched) -> tuple[Files, frozenset[str]]:
    """The watched files, and the folders to watch: those with the files, and the parents of the paths."""
    files: Files = {}
    folders: set[str] = set()
    for path in watched.paths:
        # Replacing a file by rename, or creating it, is an event of its folder.
        folders.update(str(_existing(p.parent)) for p in (path, path.resolve()))
        if not path.is_dir():
            _add(files, str(path))
            continue
        for folder, children, names in os.walk(path):
            children[:] = [child for child in children if not watched.is_ignored(f"{folder}{os.sep}{child}")]
            folders.add(folder)
            for name in names:
                file = f"{folder}{os.sep}{name}"  # thousands of them, at every signal
                if not watched.is_ignored(file):
                    _add(files, file)
    return files, frozenset(folders)


def _add(files: Files, name: str) -> None:
    try:
        stat = os.stat(name)  # noqa: PTH116 - as above
    except OSError:
        return
    files[name] = (stat.st_mtime_ns, stat.st_size)


def _existing(folder: Path) -> Path:
    return next(f for f in (folder, *folder.absolute().parents) if f.is_dir())


@contextmanager
def _signals(folders: Iterable[str], *, force_polling: bool | None) -> Iterator[Iterable[object]]:
    """Yields an element each time that a file in these folders may have changed.

    watchfiles runs in a thread: in the main thread it would turn every OS signal into a KeyboardInterrupt.
    """
    from watchfiles import watch

    over = Event()
    events = Prefetch(
        watch(
            *folders,
            watch_filter=None,
            step=_QUIET_MS,
            stop_event=over,
            rust_timeout=_RESCAN_MS,
            yield_on_timeout=True,
            force_polling=force_polling,
            recursive=False,  # the project folder may contain a lot else, such as a virtual environment
            ignore_permission_denied=True,
        )
    )
    try:
        yield events
    finally:
        over.set()
        events.close()
