"""Which dead messages an operator means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import UsageError

if TYPE_CHECKING:
    from rtp.ops.dlq.messages import DlqMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
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
        return self == Filters()

    def __call__(self, dlq_message: DlqMessage) -> bool:
        """Whether it is one of them."""
        cause = f"{dlq_message.error.type}: {dlq_message.error.message}"
        return (
            (not self.ids or dlq_message.id in self.ids)
            and (not self.types or dlq_message.type in self.types)
            and (self.error is None or self.error.lower() in cause.lower() or self.error == dlq_message.error.signature)
            and (self.grep is None or self.grep.search(dlq_message.body) is not None)
            and (self.since is None or dlq_message.message.sent_at >= self.since)
            and (self.message_ids is None or dlq_message.message_id in self.message_ids)
        )


def pattern(text: str | None) -> re.Pattern[str] | None:
    """A --grep option as a regular expression. Raises UsageError."""
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise UsageError(f"--grep: {error} in {text!r}.", hint="It is a regular expression.") from None
