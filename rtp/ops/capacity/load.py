"""What is sent to a pipeline, and the texts of the command line for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rtp.errors import UsageError
from rtp.runtime import wire

Via = Literal["events", "process", "queue"]
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(b|kb|kib|mb|mib|)", re.ASCII | re.IGNORECASE)
_BYTES = {"": 1, "b": 1, "kb": 1024, "kib": 1024, "mb": 1024**2, "mib": 1024**2}
_SHOWN = 40  # characters of a text in an error
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Events that are sent.

    rate: events per second at the busiest time, against which limits are checked. average: events per second over a
    month, from which the cost is computed. size_bytes: of an event's JSON text. duration_ms: of the processor for one
    event. failing: share of the attempts that fail, 0 to 1. via: events (the API, into the queue), process (the API
    waits for the result) or queue (directly into the queue). keys: API keys among which the requests are spread.
    """

    rate: float
    average: float
    size_bytes: int = 1024
    duration_ms: float = 100.0
    failing: float = 0.0
    via: Via = "events"
    keys: int = 1


def size(text: str) -> int:
    """Parse `2KB`, `500` or `0.2 MB` to bytes, 1 KB being 1,024. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    number = 0.0 if match is None else float(match[1]) * _BYTES[match[2].lower()]
    if not round(min(number, wire.MAX_BODY_BYTES)):
        raise UsageError(f"{text[:_SHOWN]!r} is not a size.", hint="Examples: 500, 2KB, 0.2MB.")
    if number > wire.MAX_BODY_BYTES:
        raise UsageError(
            f"An event of {text[:_SHOWN]} is refused: a pipeline takes at most {wire.MAX_BODY_BYTES // 1024} KB.",
            hint="Store the large part elsewhere, such as in S3, and send its address.",
        )
    return round(number)


def share(text: str) -> float:
    """Parse `1%` or `0.01` to a share from 0 to 1. Raises UsageError."""
    match = _SHARE.fullmatch(text.strip())
    value = -1.0 if match is None else float(match[1]) / (100 if match[2] else 1)
    if not 0 <= value <= 1:
        raise UsageError(f"{text[:_SHOWN]!r} is not a share of the attempts.", hint="Examples: 1%, 0.01.")
    return value
