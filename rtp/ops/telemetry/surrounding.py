"""Select log lines together with others around them: before and after, or of the same event."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.ops.telemetry.logevent import LogEvent

_EVENTS = 2000  # events whose lines wait for an error
_LINES = 100  # lines that wait of one event; the newest


class Selector(Protocol):
    """Decides which lines to show, as they come."""

    def add(self, event: LogEvent) -> Iterator[LogEvent]:
        """Yield the lines to show now, which may be earlier ones."""


class Neighbours:
    """The lines that match, and `count` before and after each. Metrics are no neighbours."""

    def __init__(self, matches: Callable[[LogEvent], bool], count: int) -> None:
        self._matches = matches
        self._count = count
        self._before: deque[LogEvent] = deque(maxlen=count)
        self._after = 0

    def add(self, event: LogEvent) -> Iterator[LogEvent]:
        """See Selector."""
        if self._matches(event):
            yield from self._before
            self._before.clear()
            self._after = self._count
            yield event
        elif event.kind != "metrics":
            if self._after:
                self._after -= 1
                yield event
            else:
                self._before.append(event)


class Errors:
    """The errors that match, each with all other lines of its event: those before it as soon as it comes."""

    def __init__(self, matches: Callable[[LogEvent], bool]) -> None:
        self._matches = matches
        self._waiting: OrderedDict[str, deque[LogEvent]] = OrderedDict()
        self._failed: OrderedDict[str, None] = OrderedDict()

    def add(self, event: LogEvent) -> Iterator[LogEvent]:
        """See Selector."""
        is_match = is_error(event) and self._matches(event)
        if event.id is None:
            if is_match:
                yield event
        elif event.id in self._failed:
            yield event
        elif is_match:
            yield from self._waiting.pop(event.id, ())
            self._failed[event.id] = None
            _limit(self._failed)
            yield event
        else:
            self._waiting.setdefault(event.id, deque(maxlen=_LINES)).append(event)
            self._waiting.move_to_end(event.id)
            _limit(self._waiting)


def is_error(event: LogEvent) -> bool:
    """Whether a line reports an error: of level ERROR and above, or a failed attempt, which is a warning."""
    if event.level in ("ERROR", "CRITICAL"):
        return True
    has_exception = event.stack is not None or "error_type" in event.fields or "errorType" in event.fields
    return event.level == "WARNING" and has_exception


def _limit(events: OrderedDict[str, Any]) -> None:
    while len(events) > _EVENTS:
        events.popitem(last=False)
