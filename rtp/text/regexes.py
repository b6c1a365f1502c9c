"""Regular expressions of operators: RE2's syntax, whose matching takes linear time and bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

from rtp.errors import UsageError

_LENGTH = 10_000


@dataclass(frozen=True, slots=True)
class Regex:
    """A valid expression; `compiled` makes one."""

    expression: str

    def matches(self, text: str) -> bool:
        """Whether a part of the text matches. A lone surrogate counts as `?`."""
        return _engine(self.expression).search(text.encode("utf-8", "replace")) is not None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Start and end of the parts that match, in characters; at most a hundred, and none that are empty."""
        data = text.encode("utf-8", "replace")
        found = [match.span() for match in islice(_engine(self.expression).finditer(data), 100)]
        if len(data) == len(text):
            return [(start, end) for start, end in found if start < end]
        return [(_characters(data[:start]), _characters(data[:end])) for start, end in found if start < end]


def _characters(data: bytes) -> int:
    return len(data.decode("utf-8", "replace"))


def compiled(expression: str, *, option: str) -> Regex:
    """Compile an expression. Raises UsageError for what is no expression, and for one that is too large."""
    if len(expression) > _LENGTH:
        raise UsageError(f"{option} has {len(expression):,} characters; the limit is {_LENGTH:,}.")
    import re2

    try:
        _engine(expression)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if isinstance(error, re2.error) and error.args else "it is not Unicode text"
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        shown = expression if len(expression) <= 80 else f"{expression[:79]}…"
        raise UsageError(
            f"{option} is not a regular expression: {text[:200]} in {shown!r}.",
            hint="Escape special characters with a backslash. RE2 has no lookaround and no backreferences.",
        ) from None
    return Regex(expression)


@cache
def _engine(expression: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False  # it would write to stderr
    options.never_capture = True  # groups are not read, and thousands of them take time and memory with each text
    return re2.compile(expression.encode(), options)
