"""Noticing that files of a project were saved.

The file system says when to look; a comparison of times and sizes says what has changed. So a save by rename, a folder
that is deleted and created again, caches, and files that are written with the same contents need no rules of their own.
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

_QUIET_MS = 50  # an editor saves in several steps
_RESCAN_MS = 1_000  # also without a word from the file system: some say nothing, and polling knows whole seconds only
_SKIPPED = frozenset({"__pycache__", ".git", ".venv", ".rtp", ".mypy_cache", ".pytest_cache", ".ruff_cache"})

Files = dict[str, tuple[int, int]]  # name -> time of the last write in ns, and size


def changes(paths: Callable[[], Iterable[Path]], *, force_polling: bool | None = None) -> Iterator[tuple[str, ...]]:
    """Names of the files that were saved, created or deleted, each time some were, without end.

    paths: files and folders; called again after each change, since a save may change what belongs to the project.
    force_polling: compare the files' times now and then; None where watchfiles finds that it has to.
    """
    before, folders = _scan(paths())
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
        except FileNotFoundError:  # a folder went before it was watched
            folders = _scan(paths())[1]
        except OSError:  # such as a system that has no more watches to give
            if force_polling:
                raise
            force_polling = True


def _scan(paths: Iterable[Path]) -> tuple[Files, frozenset[str]]:
    """The files at or below the paths, and the folders to watch: those of the files, and the ones around the paths."""
    files: Files = {}
    folders: set[str] = set()
    for path in paths:
        # A file that is replaced by a rename, or does not exist yet, is noticed in its folder only.
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
    """Something each time that a file in these folders may have changed.

    watchfiles waits in a thread: in the main one it would answer every signal of the system with a KeyboardInterrupt.
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
            recursive=False,  # the project's folder may hold a lot that does not belong to the project
            ignore_permission_denied=True,
        )
    )
    try:
        yield events
    finally:
        over.set()
        events.close()
