"""Reports which files of a project were saved.

File system events only say when to compare the files' times and sizes; the comparison finds the changes. It needs no
special cases for saves by rename, caches, or folders that are deleted and created again.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from rtp.ops.work.background import Prefetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_QUIET_MS = 50  # an editor writes a file in several steps
_RESCAN_MS = 1_000  # compare also without an event: some file systems send none, and polling ignores fractions
_SKIPPED = frozenset({"__pycache__", ".git", ".venv", ".rtp", ".mypy_cache", ".pytest_cache", ".ruff_cache"})

Files = dict[str, tuple[int, int]]  # name -> time of the last write in ns, and size


def snapshot(paths: Iterable[Path]) -> Files:
    """The files at or below the paths as they are now."""
    return _scan(paths)[0]


def changes(
    paths: Callable[[], Iterable[Path]], *, since: Files | None = None, force_polling: bool | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield the names of files that were saved, created or deleted, without end.

    paths: returns files and folders; called before each comparison, since a save of rtp.toml may change them.
    since: the files that the first comparison is with; as they are now by default.
    force_polling: do not use file system events; None leaves that to watchfiles.
    """
    before, folders = _scan(paths())
    before = before if since is None else since
    while True:
        try:
            with _signals(folders, force_polling=force_polling) as signals:
                for _ in signals:
                    now, existing = _scan(paths())
                    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
                    before = now
                    if changed:
                        yield tuple(changed)
                    if existing != folders:
                        folders = existing
                        break
        except FileNotFoundError:  # a folder was deleted before it was watched
            folders = _scan(paths())[1]
        except OSError:  # such as no free inotify watches
            if force_polling:
                raise
            force_polling = True


def _scan(paths: Iterable[Path]) -> tuple[Files, frozenset[str]]:
    """The files at or below the paths, and the folders to watch: those with the files, and the parents of the paths."""
    files: Files = {}
    folders: set[str] = set()
    for path in paths:
        # Replacing a file by rename, or creating it, is an event of its folder.
        folders.update(str(_existing(p.parent)) for p in (path, path.resolve()))
        if not path.is_dir():
            _add(files, str(path))
            continue
        for folder, children, names in os.walk(path):
            children[:] = [child for child in children if child not in _SKIPPED]
            folders.add(folder)
            for name in names:
                _add(files, os.path.join(folder, name))  # noqa: PTH118 - thousands of them, at every signal
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
