"""The type of one parsed log line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from rtp.text import times
from rtp.text.json_values import HIDDEN

Kind = Literal["rtp", "platform", "metrics", "text"]

LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
_ALIASES = {"WARN": "WARNING", "FATAL": "CRITICAL", "NOTICE": "INFO"}
_OURS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d\.\d{3}Z", re.ASCII)
_NEAR_MS = 900_000  # the longest run of a Lambda function


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One line of a log.

    timestamp: when it was written, ISO 8601. level: DEBUG, INFO, WARNING, ERROR or CRITICAL; empty where it has none.
    function: `processor` or `worker`. id: id of the event; null where the line belongs to none. step: processing step.
    release: of the code that wrote the line; null where it does not say.
    kind: who wrote it: `rtp` the functions, `platform` Lambda, `metrics` an embedded metric, `text` anything else.
    stack: a stack trace, several lines. fields: everything else in the line.
    at: when CloudWatch received the line, own_at: its own time, both epoch ms. raw: the line as it was written.
    """

    timestamp: str
    level: str
    function: str
    message: str
    id: str | None = None
    request_id: str | None = None
    trace_id: str | None = None
    event_type: str | None = None
    step: str | None = None
    release: str | None = None
    kind: Kind = "text"
    stack: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    at: int = field(default=0, metadata=HIDDEN)
    raw: str = field(default="", metadata=HIDDEN)
    own_at: int | None = field(default=None, metadata=HIDDEN)

    @property
    def when(self) -> int:
        """`timestamp` in epoch ms."""
        return self.at if self.own_at is None else self.own_at


def level_name(value: object) -> str | None:
    """The canonical name of a level; None for anything else."""
    if not isinstance(value, str):
        return None
    name = value.strip().upper()
    name = _ALIASES.get(name, name)
    return name if name in LEVELS else None


def own_time(value: object, at: int) -> tuple[str, int]:
    """The line's own time, or CloudWatch's (which an engine may round) where it is missing or far off.

    Returned as ISO 8601 and epoch ms.
    """
    if isinstance(value, str) and 20 <= len(value) <= 35 and value[10] == "T":
        ours = _OURS.fullmatch(value) is not None
        try:
            # Many lines share a minute, and parsing the whole time takes three times as long.
            own = _minute(value[:16]) + int(value[17:19]) * 1000 + int(value[20:23]) if ours else _ms(value)
        except (ValueError, OverflowError):
            own = -1
        if abs(own - at) < _NEAR_MS:
            return value if ours else times.iso(own), own
    return times.iso(at), at


@lru_cache(maxsize=64)
def _minute(text: str) -> int:
    return _ms(text + "+00:00")


def _ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return round(moment.timestamp() * 1000)
