"""When dead events are lost: SQS deletes their messages, and S3 the raw events that a replay needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY_MS = 86_400_000
_HOUR = re.compile(r"raw/(\d{4})/(\d\d)/(\d\d)/(\d\d)/")

Limit = Literal["message", "raw"]


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead event. sent_at: from when SQS counts the age of its message, epoch ms. raw_key: of its raw event."""

    sent_at: int
    raw_key: str


@dataclass(frozen=True, slots=True)
class Deadlines:
    """When the first dead event is lost; null where nothing is to be lost.

    message: when SQS deletes the first message, ISO 8601. raw: when S3 deletes the first raw event of a dead event, ISO
    8601; such an event can then be redriven and not replayed. first: which of the two limits comes first.
    """

    message: str | None = None
    raw: str | None = None
    first: Limit | None = None

    def within(self, ms: int, *, now: int) -> Limit | None:
        """The limit that is reached first, where that is within a time from now."""
        at = self.message if self.first == "message" else self.raw
        return self.first if at is not None and times.parse_when(at) <= now + ms else None


def of(events: Iterable[Dead], *, message_days: float, raw_days: int, now: int) -> Deadlines:
    """The first deadlines of dead events that are not past. message_days, raw_days: how long SQS and S3 keep them."""
    messages, raws = [], []
    for event in events:
        messages.append(event.sent_at + round(message_days * DAY_MS))
        if (raw := _raw_expiry(event.raw_key, raw_days)) is not None:
            raws.append(raw)
    message = min((at for at in messages if at > now), default=None)
    raw = min((at for at in raws if at > now), default=None)
    first: Limit | None = None
    if message is not None or raw is not None:
        first = "message" if raw is None or (message is not None and message <= raw) else "raw"
    return Deadlines(_iso(message), _iso(raw), first)


def _raw_expiry(raw_key: str, days: int) -> int | None:
    """When S3 deletes a raw object, epoch ms: at the midnight (UTC) after so many days. Its key has the hour."""
    hour = _HOUR.match(raw_key)
    if hour is None:
        return None
    try:
        written = datetime(*(int(part) for part in hour.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    return (int(written.timestamp() * 1000) // DAY_MS + days + 1) * DAY_MS


def _iso(at: int | None) -> str | None:
    return None if at is None else times.iso(at)
