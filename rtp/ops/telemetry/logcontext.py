"""Assigns prints and tracebacks between a request's START and END to that request. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.ops.telemetry.logevent import LogEvent

STREAMS = 2_000  # log streams that are remembered; each is one instance of a function


class Context:
    """The current request of each log stream. Lambda gives a stream one request at a time.

    A request of the processor has one event, so every line that names a request counts. A request of the worker has
    many events, so only Lambda's own lines count.
    """

    def __init__(self) -> None:
        self._requests: OrderedDict[tuple[str, str], str] = OrderedDict()

    def of(self, event: LogEvent, stream: str) -> LogEvent:
        """The event, with the request of its stream where it names none."""
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
