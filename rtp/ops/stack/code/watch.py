"""Noticing that files of a project were saved."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_POLL_SECONDS = 0.15
_QUIET_S = 0.05  # an editor saves in several steps
_SKIPPED = frozenset({"__pycache__", ".git", ".venv", ".rtp", ".mypy_cache", ".pytest_cache", ".ruff_cache"})

Snapshot = dict[str, tuple[int, int]]


def snapshot(paths: Iterable[Path]) -> Snapshot:
    """Time and size of every file that stands at or below the paths."""
    found: Snapshot = {}
    for path in paths:
        if path.is_dir():
            for base, folders, files in os.walk(path):
                folders[:] = [f for f in folders if f not in _SKIPPED]
                for name in files:
                    _add(found, os.path.join(base, name))  # noqa: PTH118 - thousands of them, every look
        else:
            _add(found, str(path))
    return found


def changes(
    paths: Callable[[], Iterable[Path]], *, sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[str, ...]]:
    """Names of the files that were saved, made or deleted, each time some were, for ever."""
    before = snapshot(paths())
    while True:
        sleep(_POLL_SECONDS)
        now = snapshot(paths())
        if now == before:
            continue
        while True:
            sleep(_QUIET_S)
            later = snapshot(paths())
            if later == now:
                break
            now = later
        changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
        before = now
        yield tuple(sorted(changed))


def _add(found: Snapshot, name: str) -> None:
    try:
        stat = os.stat(name)  # noqa: PTH116 - as above
    except OSError:
        return
    found[name] = (stat.st_mtime_ns, stat.st_size)
