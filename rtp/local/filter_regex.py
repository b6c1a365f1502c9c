"""The regular expressions of CloudWatch's filter patterns, matched in time linear in the text.

AWS's dialect has no groups, so an expression is a list of alternatives, each a plain sequence of repeated characters.
All its positions are tracked at once, as the bits of one number (the extended Shift-And algorithm), and each number
becomes a state of an automaton. There is no backtracking, so no expression is slow on any text.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_POSITIONS = 2_000  # with every repetition written out
MAX_TEXT = 1024 * 1024  # the longest log event that CloudWatch takes
MAX_CACHED = 50_000  # transitions of the automaton that are cached
OPERATORS = "^$?[]{}|\\*+."
SYMBOLS = ":_#=@/;,- "
_BOUNDS = re.compile(r"\{ *(\d*) *(?:(,) *(\d*) *)?\}")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")


@dataclass(frozen=True, slots=True)
class Characters:
    """A set of characters. beyond: whether it contains all those outside ASCII; AWS's dialect has no others."""

    ascii: frozenset[str]
    beyond: bool = False

    def __or__(self, other: Characters) -> Characters:
        return Characters(self.ascii | other.ascii, self.beyond or other.beyond)

    def __invert__(self) -> Characters:
        return Characters(_ASCII - self.ascii, not self.beyond)

    def __contains__(self, char: str) -> bool:
        return char in self.ascii or (self.beyond and char not in _ASCII)


_ASCII = frozenset(map(chr, range(128)))
_ANY = Characters(_ASCII, beyond=True)
_CLASSES = {
    "d": Characters(frozenset("0123456789")),
    "s": Characters(frozenset(" \t\n\r\f\v")),
    "w": Characters(frozenset(c for c in _ASCII if c.isalnum() or c == "_")),
}
_CLASSES |= {name.upper(): ~characters for name, characters in _CLASSES.items()}


@dataclass(slots=True)
class _Element:
    characters: Characters
    optional: bool = False
    repeated: bool = False


@dataclass(slots=True)
class _Sequence:
    elements: list[_Element] = field(default_factory=list)
    at_start: bool = False
    at_end: bool = False


def compile_regex(regex: str) -> Callable[[str], bool]:
    """A test whether a text contains a match. Raises ValueError where CloudWatch does not accept the expression."""
    start = _Automaton(_Parser(regex).sequences()).start

    def matches(text: str) -> bool:
        body = text[:MAX_TEXT]
        if body.endswith("\n"):  # `$` also matches before it
            state = reduce(operator.getitem, body[:-1], start)
            return state.matches_here or state["\n"].matches_here
        return reduce(operator.getitem, body, start).matches_here

    return matches


class _Parser:
    def __init__(self, regex: str) -> None:
        self._text = regex
        self._at = 0

    def sequences(self) -> list[_Sequence]:
        sequences = [_Sequence()]
        positions = 0
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "|":
                self._at += 1
                sequences.append(_Sequence())
            elif char == "^":
                if sequences[-1].elements or sequences[-1].at_start:
                    self._refuse("'^' belongs at the beginning")
                self._at += 1
                sequences[-1].at_start = True
            elif char == "$":
                self._at += 1
                sequences[-1].at_end = True
                if self._text[self._at : self._at + 1] not in ("", "|"):
                    self._refuse("'$' belongs at the end")
            else:
                elements = list(self._repeated(self._characters()))
                positions += len(elements)
                sequences[-1].elements += elements
            if positions > MAX_POSITIONS:
                self._refuse("it is too large")
        return sequences

    def _repeated(self, characters: Characters) -> Iterator[_Element]:
        low, high = self._bounds()
        if self._text.startswith("?", self._at):  # reluctant: only whether there is a match matters
            self._at += 1
        if self._text[self._at : self._at + 1] in ("?", "*", "+", "{") and self._text[self._at :]:
            self._refuse(f"{self._text[self._at]!r} has nothing to repeat")
        if max(low, high or 0) > MAX_POSITIONS:
            self._refuse("it is too large")
        if high is None:
            for _ in range(low - 1):
                yield _Element(characters)
            yield _Element(characters, optional=low == 0, repeated=True)
            return
        for number in range(high):
            yield _Element(characters, optional=number >= low)

    def _bounds(self) -> tuple[int, int | None]:
        """Minimum and maximum of repetitions; None: no maximum."""
        char = self._text[self._at : self._at + 1]
        if char and char in "?*+":
            self._at += 1
            return {"?": (0, 1), "*": (0, None), "+": (1, None)}[char]
        if char != "{":
            return 1, 1
        match = _BOUNDS.match(self._text, self._at)
        if match is None or len(match[0]) > 20 or not (match[1] or match[3]):
            self._refuse("'{' needs one or two numbers and '}'")
        self._at = match.end()
        low = int(match[1] or 0)
        high = low if match[2] is None else int(match[3]) if match[3] else None
        if high is not None and high < low:
            self._refuse(f"{match[0]} has its numbers in the wrong order")
        return low, high

    def _characters(self) -> Characters:
        char = self._take()
        if char == ".":
            return _ANY
        if char == "[":
            return self._set()
        if char == "\\":
            return self._escaped()
        if char in OPERATORS:
            self._refuse(f"{char!r} has nothing to repeat" if char in "?*+{" else f"{char!r} must be written \\{char}")
        return Characters(frozenset(self._allowed(char)))

    def _set(self) -> Characters:
        inverted = self._text.startswith("^", self._at)
        self._at += inverted
        members = Characters(frozenset())
        first = True
        while first or not self._text.startswith("]", self._at):
            first = False
            low = self._member()
            follows = self._text[self._at : self._at + 2]
            if follows.startswith("-") and follows != "-]" and len(follows) == 2:
                self._at += 1
                low = self._range(low, self._member())
            members |= low
        self._at += 1
        return ~members if inverted else members

    def _member(self) -> Characters:
        char = self._take()
        if char == "\\":
            return self._escaped()
        if char == "]":
            self._refuse("a set of characters is empty")
        return Characters(frozenset(char if char in OPERATORS else self._allowed(char)))

    def _range(self, low: Characters, high: Characters) -> Characters:
        if len(low.ascii) != 1 or len(high.ascii) != 1 or low.beyond or high.beyond:
            self._refuse("a range is between two characters")
        first, last = ord(min(low.ascii)), ord(min(high.ascii))
        if last < first:
            self._refuse(f"the range {chr(first)}-{chr(last)} is in the wrong order")
        return Characters(frozenset(map(chr, range(first, last + 1))))

    def _escaped(self) -> Characters:
        char = self._take()
        if char in _CLASSES:
            return _CLASSES[char]
        if char == "x":
            code = _HEX.match(self._text, self._at)
            if code is None or int(code[0], 16) > 127:
                self._refuse("\\x needs the two digits of an ASCII character")
            self._at = code.end()
            return Characters(frozenset(chr(int(code[0], 16))))
        if char in OPERATORS or char in SYMBOLS:
            return Characters(frozenset(char))
        self._refuse(f"'\\{char}' is not supported{_instead(char)}")

    def _allowed(self, char: str) -> str:
        if char not in SYMBOLS and not (char.isascii() and char.isalnum()):
            self._refuse(f"{char!r} is not supported{_instead(char)}")
        return char

    def _take(self) -> str:
        if self._at >= len(self._text):
            self._refuse("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _refuse(self, why: str) -> NoReturn:
        raise ValueError(f"Invalid filter pattern: %{self._text}%: {why}")


def _instead(char: str) -> str:
    if not char.isascii():
        return ": an expression is of ASCII characters, and `.` matches any"
    if char.isalnum():
        return ""
    return f"; \\x{ord(char):02X} matches it" + (", and there are no groups" if char in "()" else "")


class _Automaton:
    """States are created on demand. A position's bit is set if the text so far can end there."""

    def __init__(self, sequences: list[_Sequence]) -> None:
        self._masks: dict[Characters, int] = {}
        self._begin = self._again = self._repeated = self._final = self._final_at_end = 0
        # Of each run of optional positions: all of them, the position before, the last one.
        self._optional = self._before = self._last = 0
        at = 0
        for sequence in sequences:
            at = self._add(sequence, at)
        self._of_char: dict[str, int] = {}
        self._states: dict[int, _State] = {}
        self._cached = 0
        self._matched = _Matched(self, 0, matches_here=True)
        self.start = self._state(self._closed(self._begin))

    def _add(self, sequence: _Sequence, at: int) -> int:
        self._begin |= 1 << at
        if not sequence.at_start:
            self._again |= 1 << at
        run = False
        for element in sequence.elements:
            at += 1
            bit = 1 << at
            self._masks[element.characters] = self._masks.get(element.characters, 0) | bit
            self._repeated |= bit * element.repeated
            if element.optional:
                self._optional |= bit
                self._last = (self._last & ~(bit >> 1) if run else self._last) | bit
                self._before |= 0 if run else bit >> 1
            run = element.optional
        if sequence.at_end:
            self._final_at_end |= 1 << at
        else:
            self._final |= 1 << at
        return at + 1

    def _closed(self, bits: int) -> int:
        """Add the positions that skipping optional ones reaches: each run is filled from its lowest set bit upwards."""
        with_ends = bits | self._last
        return bits | (self._optional & (~(with_ends - self._before) ^ with_ends))

    def after(self, state: _State, char: str) -> _State:
        """The next state after a character; cached."""
        mask = self._of_char.get(char)
        if mask is None:
            mask = sum(bits for characters, bits in self._masks.items() if char in characters)
            self._of_char[char] = mask
        bits = ((state.bits << 1) | (state.bits & self._repeated)) & mask
        if self._cached >= MAX_CACHED:
            self._clear_cache()
        self._cached += 1
        state[char] = following = self._state(self._closed(bits | self._again))
        return following

    def _state(self, bits: int) -> _State:
        if bits & self._final:
            return self._matched
        if bits not in self._states:
            self._states[bits] = _State(self, bits, matches_here=bool(bits & self._final_at_end))
        return self._states[bits]

    def _clear_cache(self) -> None:
        for state in self._states.values():
            state.clear()
        self._states = {self.start.bits: self.start}
        self._of_char.clear()
        self._cached = 0


class _State(dict[str, "_State"]):
    """The next state by character, computed when it is first needed."""

    __slots__ = ("_automaton", "bits", "matches_here")

    def __init__(self, automaton: _Automaton, bits: int, *, matches_here: bool) -> None:
        super().__init__()
        self._automaton = automaton
        self.bits = bits
        self.matches_here = matches_here

    def __missing__(self, char: str) -> _State:
        return self._automaton.after(self, char)


class _Matched(_State):
    """The state after a match: every character leads back to it."""

    __slots__ = ()

    def __missing__(self, char: str) -> _State:
        return self
