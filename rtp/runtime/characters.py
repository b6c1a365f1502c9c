"""The one list of characters that never reach a terminal, a page or a stored error as they are.

By Unicode category: controls, format characters (bidirectional ones, tags and zero-width ones among them), surrogates,
private use, unassigned, line and paragraph separators. Besides them variation selectors, and fillers: characters
without a glyph that have other categories. Tab, line feed and spaces of any width stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FILLERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
"""Variation selectors and fillers, which no category names."""

_ASCII = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_SPACES = frozenset("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000")
_STAY = _SPACES | {"\t", "\n"}


def is_hidden(character: str) -> bool:
    """Whether a character must not be shown as it is."""
    # isprintable() is False for the categories C* and Z* except the space.
    return character not in _STAY and (not character.isprintable() or FILLERS.match(character) is not None)


def replaced(text: str, replacement: Callable[[str], str]) -> str:
    """Replace each hidden character by what `replacement` returns for it."""
    if text.isascii():
        return _ASCII.sub(lambda match: replacement(match[0]), text)
    if text.isprintable() and not FILLERS.search(text):
        return text
    return "".join([replacement(c) if is_hidden(c) else c for c in text])
