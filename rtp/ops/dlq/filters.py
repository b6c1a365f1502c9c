"""Which dead messages an operator means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import UsageError

if TYPE_CHECKING:
    from rtp.ops.dlq.messages import DeadLetter


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which messages; every filter that is given must hold. since: epoch ms of first_seen. grep: over the body."""

    ids: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    error: str | None = None
    grep: re.Pattern[str] | None = None
    since: int | None = None
    message_ids: frozenset[str] | None = None

    @property
    def all(self) -> bool:
        """Whether nothing is left out."""
        return self == Wanted()

    def __call__(self, letter: DeadLetter) -> bool:
        """Whether it is one of them."""
        cause = f"{letter.error.type}: {letter.error.message}"
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.types or letter.type in self.types)
            and (self.error is None or self.error.lower() in cause.lower() or self.error == letter.error.signature)
            and (self.grep is None or self.grep.search(letter.body) is not None)
            and (self.since is None or letter.message.sent_at >= self.since)
            and (self.message_ids is None or letter.message_id in self.message_ids)
        )


def pattern(text: str | None) -> re.Pattern[str] | None:
    """A --grep option as a regular expression. Raises UsageError."""
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise UsageError(f"--grep: {error} in {text!r}.", hint="It is a regular expression.") from None
