"""Find words in the manual: the sections that have all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rtp.ops import manual

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEADING = re.compile(r"^#{1,3} +(?P<title>.+)$")
_FENCE = "```"
_BEFORE, _LENGTH = 40, 140  # characters of an excerpt before its first word, and of all of it
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"[*`]|<[^>]+>")


class Found(NamedTuple):
    """A section of the manual. excerpt: the line that has most of the words; empty where only the title has them.

    rank: how much it is about the words; less is more.
    """

    topic: str
    title: str
    excerpt: str
    rank: tuple[bool, int]


def find(words: Sequence[str]) -> list[Found]:
    """The sections with all words, whatever their case and ending; those that have them side by side first."""
    stems = [_stem(word) for word in words if word.strip()]
    if not stems:
        return []
    found = [hit for topic in manual.PAGES for hit in _in_page(topic, stems)]
    return sorted(found, key=lambda hit: hit.rank)


def _stem(word: str) -> str:
    """A word without the `s` of a plural or a verb."""
    lowered = word.strip().lower()
    return lowered[:-1] if len(lowered) > 3 and lowered.endswith("s") else lowered


def _in_page(topic: str, stems: Sequence[str]) -> Iterator[Found]:
    for title, lines in _sections(manual.text(topic)):
        text = "\n".join([title, *lines]).lower()
        if all(stem in text for stem in stems):
            # The line that has most of the words says most about them.
            best = max(lines, key=lambda line: _weight(line, stems), default="")
            excerpt = _cut(_plain(best), stems) if any(_weight(best, stems)) else ""
            is_side_by_side, count = max(_weight(title, stems), _weight(best, stems))
            yield Found(topic, _plain(title), excerpt, (not is_side_by_side, -count - _weight(title, stems)[1]))


def _weight(line: str, stems: Sequence[str]) -> tuple[bool, int]:
    """Whether a line has the words side by side, and how many it has."""
    text = line.lower()
    phrase = r"\w*\W+".join(map(re.escape, stems))
    return len(stems) > 1 and re.search(phrase, text) is not None, sum(stem in text for stem in stems)


def _cut(text: str, stems: Sequence[str]) -> str:
    """A text from a little before its first word on, not longer than two lines of a terminal."""
    first = min((at for stem in stems if (at := text.lower().find(stem)) >= 0), default=0)
    start = text.rfind(" ", 0, max(0, first - _BEFORE)) + 1 if first > _BEFORE else 0
    end = text.rfind(" ", start, start + _LENGTH) if len(text) > start + _LENGTH else len(text)
    return ("… " if start else "") + text[start:end] + (" …" if end < len(text) else "")


def _sections(page: str) -> Iterator[tuple[str, list[str]]]:
    """The sections of a page, each with its heading and its lines."""
    title, lines, is_code = "", list[str](), False
    for line in page.splitlines():
        is_code ^= line.startswith(_FENCE)
        heading = None if is_code else _HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        if title:
            yield title, lines
        title, lines = heading["title"], []
    if title:
        yield title, lines


def _plain(line: str) -> str:
    """A line of Markdown as text; of a table's row its cells."""
    cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
    return _MARKS.sub("", _LINK.sub(r"\1", " · ".join(cell for cell in cells if cell))).strip()
