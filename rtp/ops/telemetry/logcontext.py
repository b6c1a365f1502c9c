"""What a line leaves unsaid: prints and tracebacks between a request's START and END belong to that request. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.ops.telemetry.logevent import LogEvent

STREAMS = 2_000  # a stream is one running copy of a function; so many are remembered


class Context:
    """The request each log stream is in. Lambda gives a stream one request at a time.

    The processor's request has one event, so any line tells; the worker's has many: only Lambda's own lines do.
    """

    def __init__(self) -> None:
        self._requests: OrderedDict[tuple[str, str], str] = OrderedDict()

    def of(self, event: LogEvent, stream: str) -> LogEvent:
        """The event, with its stream's request where it names none itself."""
        key = (event.function, stream)
        if event.request_id is None:
            request_id = self._requests.get(key)
            return event if request_id is None else replace(event, request_id=request_id)
        if event.kind == "platform" and event.step in ("end", "report", "runtimeDone"):
            if event.function == "processor" or self._requests.get(key) == event.request_id:
                self._requests.pop(key, None)
        elif (event.kind == "platform" or event.function == "processor") and self._requests.get(
            key
        ) != event.request_id:
            self._requests[key] = event.request_id
            self._requests.move_to_end(key)
            if len(self._requests) > STREAMS:
                self._requests.popitem(last=False)
        return event
