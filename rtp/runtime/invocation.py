"""One invocation of a function: the values that all its deliveries share."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import logs, tracing
from rtp.runtime.deadline import Deadline
from rtp.runtime.delivery import Received
from rtp.runtime.metrics import Metrics
from rtp.runtime.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.runtime.boot import Runtime
    from rtp.runtime.delivery import Delivery


class Invocation(NamedTuple):
    """The runtime, the deadline and the metrics of one invocation. The names of archived objects contain `id`."""

    runtime: Runtime
    deadline: Deadline
    metrics: Metrics
    id: str

    def portion(self, number: int) -> Invocation:
        """The same for a portion of the batch, whose objects have names of their own. number: from 1."""
        return self if number == 1 else self._replace(id=f"{self.id}.{number}")

    def another_round(self) -> Invocation:
        """The same for events that wait for others of their portion, whose objects have names of their own."""
        return self._replace(id=f"{self.id}.x")

    def receive(self, delivery: Delivery) -> Received:
        """Read a delivery, and begin its event's part of a trace."""
        runtime = self.runtime
        reading = read(runtime.registry, delivery.body, delivery.fallback, drill=delivery.drill)
        trace = tracing.begin(
            delivery.trace_header,
            name=runtime.settings.function,
            event_id=reading.event.id,
            event_type=reading.event.type,
        )
        trace.annotate(release=runtime.settings.release)
        received = Received(delivery, reading, trace, started=runtime.clock())
        if delivery.sent:
            age = max(0.0, (received.started - delivery.sent) * 1000)
            self.metrics.add(reading.event.type, "AgeAtProcessing", age)
        return received


@contextmanager
def begin(runtime: Runtime, context: Any) -> Iterator[Invocation]:
    """Begin an invocation with Lambda's context, and write its metrics at the end."""
    deadline = Deadline(context, clock=runtime.clock)
    metrics = Metrics(runtime.settings, runtime.registry.__contains__, runtime.clock)
    try:
        yield Invocation(runtime, deadline, metrics, context.aws_request_id)
    finally:
        with logs.together():
            for line in metrics.lines():
                logs.emit(line)
