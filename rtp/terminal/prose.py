"""Wrap a line at its words for a terminal. Commands between backticks stay whole, as long words do.

A line with a command of its own stays one line: it can be pasted with the remark at its end.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from rtp.terminal.width import columns
from rtp.text.elements import Line, Style, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.text.elements import Element

_HANG = 2
_WORDS = re.compile(r"`[^`]*`\S*|\s+|[^\s`]+|`")


def wrapped(element: Element, width: int, *, hang: int = _HANG) -> list[Element]:
    """Split a line that is wider than a terminal into rows; other elements stay.

    width: the terminal's columns. hang: columns by which the rows below the first are indented.
    """
    if isinstance(element, str | Text):
        whole = Line((Text(element) if isinstance(element, str) else element,))
    elif isinstance(element, Line) and not any(part.style is Style.COMMAND for part in element.parts):
        whole = element
    else:
        return [element]
    if whole.indent + columns("".join([part.text for part in whole.parts])) <= width:
        return [element]
    words = list(_words(whole))
    start = whole.indent + (columns(words[0][0].text) if words and words[0][0].text.isspace() else 0)
    hang = min(start + hang, width // 2)
    rows: list[list[Text]] = [[]]
    used, gap = whole.indent, tuple[Text, ...]()
    for word in words:
        size = sum(columns(piece.text) for piece in word)
        if word[0].text.isspace():
            gap = word
            continue
        before = sum(columns(piece.text) for piece in gap)
        is_first = not any(piece.text.strip() for piece in rows[-1])
        if used + before + size > width and not is_first:
            rows.append([])
            used = hang
        else:
            rows[-1] += gap
            used += before
        rows[-1] += word
        used, gap = used + size, ()
    return [Line(tuple(row), whole.indent if n == 0 else hang) for n, row in enumerate(rows)]


def _words(whole: Line) -> Iterator[tuple[Text, ...]]:
    """Words and the spaces between them, each as pieces of one style; a word may have several styles."""
    pieces: list[Text] = []
    for part in whole.parts:
        pieces += [replace(part, text=match[0]) for match in _WORDS.finditer(part.text)]
    for _, group in groupby(pieces, key=lambda piece: piece.text.isspace()):
        yield tuple(group)
