"""Wrap a line at its words for a terminal. Commands between backticks stay whole, as long words do.

A command of its own stays one line, so that it can be pasted; a remark that does not fit beside it is below it. A line
of code is cut.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from rtp.terminal.width import columns, cut
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
    elif isinstance(element, Line):
        whole = element
    else:
        return [element]
    if whole.indent + columns("".join([part.text for part in whole.parts])) <= width:
        return [element]
    if whole.cut:
        return [_cut(whole, width)]
    if any(part.style is Style.COMMAND for part in whole.parts):
        return _below(whole, width)
    if max(whole.indent, whole.hang) > width // 2:
        whole = replace(whole, indent=min(whole.indent, _HANG), hang=0)
    words = list(_words(whole))
    start = whole.indent + (columns(words[0][0].text) if words and words[0][0].text.isspace() else 0)
    hang = min(whole.hang or start + hang, width // 2)
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


def _below(whole: Line, width: int) -> list[Element]:
    """A command, and below it its remark. Each row of that is a comment of a shell's, if all of it is pasted."""
    *parts, remark = whole.parts
    text = remark.text.strip()
    if not text.startswith("# "):
        return [whole]
    before = "".join([part.text for part in parts if part.style is not Style.COMMAND])
    indent = min(whole.indent + columns(before), width // 4)
    rows = wrapped(Line((replace(remark, text=text[2:]),)), max(width - indent - 2, 1))
    below = [Line((replace(remark, text="# "), *row.parts), indent) for row in rows if isinstance(row, Line)]
    return [replace(whole, parts=tuple(parts)), *below]


def _cut(whole: Line, width: int) -> Line:
    """The beginning of a line, and `…` for the rest."""
    room, parts = width - whole.indent, list[Text]()
    for part in whole.parts:
        parts.append(replace(part, text=cut(part.text, room)))
        room -= columns(part.text)
        if room < 0:
            break
    return replace(whole, parts=tuple(parts))


def _words(whole: Line) -> Iterator[tuple[Text, ...]]:
    """Words and the spaces between them, each as pieces of one style; a word may have several styles."""
    pieces: list[Text] = []
    for part in whole.parts:
        pieces += [replace(part, text=match[0]) for match in _WORDS.finditer(part.text)]
    for _, group in groupby(pieces, key=lambda piece: piece.text.isspace()):
        yield tuple(group)
