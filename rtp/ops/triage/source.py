"""The line of the project's code that fails, out of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.runtime import groups

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.config import Environment

_AROUND = 2
_BYTES = 1_000_000  # of a file that is read
_WIDTH = 200  # characters of a line


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of code. number: from 1. text: without its end. fails: whether it is the one that failed."""

    number: int
    text: str
    fails: bool


def lines(environment: Environment, at: str) -> list[SourceLine]:
    """The line that failed with two before and two after it; none where this folder does not have it."""
    place = groups.place(at)
    if place is None:
        return []
    try:
        path = _path(environment, place.file)
        if path is None or not _is_small(path):
            return []
        content = path.read_text(encoding="utf-8", errors="replace")
    except (OSError, RuntimeError):  # one that cannot be read, or a circle of links
        return []
    text = content.removesuffix("\n").split("\n")  # as Python counts lines; str.splitlines has other ends too
    if place.line > len(text):
        return []
    first = max(1, place.line - _AROUND)
    shown = text[first - 1 : place.line + _AROUND]
    return [SourceLine(n, line[:_WIDTH].rstrip(), n == place.line) for n, line in enumerate(shown, first)]


def _path(environment: Environment, file: str) -> Path | None:
    """The module of this folder that is packed under this name; never a file outside of it, or one of secrets."""
    if environment.processors is None or not file.endswith(".py"):
        return None
    root = environment.processors.resolve().parent
    path = (root / file).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None


def _is_small(path: Path) -> bool:
    return path.stat().st_size <= _BYTES
