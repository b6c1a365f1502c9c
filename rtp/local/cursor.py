"""A cursor over a text, which the parsers of filter expressions, filter patterns and mapping templates share."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator

_T = TypeVar("_T")
MAX_DEPTH = 50


class Token(NamedTuple):
    """kind: the group of the pattern that matched. end: where the next token begins."""

    kind: str
    text: str
    end: int


class Cursor:
    """A position in `text`, at which tokens are read.

    tokens: matches one token in a named group, after any space. error: makes the exception of a message, which every
    method raises where the text does not fit.
    """

    def __init__(self, text: str, tokens: re.Pattern[str], error: Callable[[str], Exception]) -> None:
        self.text = text
        self.at = 0
        self._tokens = tokens
        self._error = error
        self._depth = 0

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Move past what a pattern matches here; None where it does not."""
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def literal(self, text: str) -> bool:
        """Move past this text, if it is here."""
        is_here = self.text.startswith(text, self.at)
        self.at += len(text) * is_here
        return is_here

    def peek(self) -> Token | None:
        """The next token; None at the end and where the text cannot be read."""
        match = self._tokens.match(self.text, self.at)
        return Token(match.lastgroup, match[match.lastgroup], match.end()) if match and match.lastgroup else None

    def next(self) -> Token:
        """Read the next token."""
        token = self.peek()
        if token is None:
            rest = self.text[self.at :].strip()
            self.fail(f"unexpected {rest[:20]!r}" if rest else "it ends too early")
        self.at = token.end
        return token

    def take(self, text: str, kind: str = "op") -> bool:
        """Read the next token if it is this one; words count in any case."""
        token = self.peek()
        if token is None or token.kind != kind or token.text.upper() != text:
            return False
        self.at = token.end
        return True

    def expect(self, text: str, kind: str = "op") -> None:
        """Read the next token, which has to be this one."""
        if not self.take(text, kind):
            self.fail(f"{text!r} was expected, not {self.next().text!r}")

    def rest(self) -> list[Token]:
        """Every token from here to the end of the text; the cursor does not move."""
        start, tokens = self.at, []
        while self.text[self.at :].strip():
            tokens.append(self.next())
        self.at = start
        return tokens

    def end(self) -> None:
        """Check that nothing follows."""
        if token := self.peek():
            self.fail(f"unexpected {token.text!r}")

    def joined(self, parse: Callable[[], _T], separator: str, kind: str = "op") -> list[_T]:
        """One or more parts with a separator between them."""
        parts = [parse()]
        while self.take(separator, kind):
            parts.append(parse())
        return parts

    @contextlib.contextmanager
    def nested(self) -> Iterator[None]:
        """One level deeper, down to MAX_DEPTH: a parser that calls itself must not exhaust the stack."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.fail("it is nested too deeply")
        yield
        self._depth -= 1

    def fail(self, reason: str) -> NoReturn:
        """Raise the error."""
        raise self._error(reason)
