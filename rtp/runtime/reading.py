"""Read the text of an event: the same for every delivery, for `rtp run` and for tests of processors."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import digest, jsontext, models, wire
from rtp.runtime import event as events
from rtp.runtime.event import Event, InvalidEventError
from rtp.runtime.registry import Processor, exited

if TYPE_CHECKING:
    from rtp.runtime.event import Identity
    from rtp.runtime.registry import Registry


class Reading(NamedTuple):
    """An event and its processor, or why the text is not an event.

    model: the data as an instance of the processor's model; None where it has none.
    An invalid text still has an event, with the identity and type that could be read, for its dead record.
    """

    event: Event[Any]
    processor: Processor | None = None
    model: Any = None
    invalid: InvalidEventError | None = None

    def data(self, *, is_repeated: bool = False) -> Any:
        """Return the data for a call of the processor: the model, else a copy that is made only now.

        Whatever a processor does to it, the event's own data is stored and archived as it was received.
        is_repeated: the processor begins again, and may have changed the model.
        """
        reading = _converted(self.event, self.processor) if is_repeated else self
        return jsontext.copied(self.event.data) if reading.model is None else reading.model


def read(registry: Registry, text: str | bytes, fallback: Identity, *, drill: str = "") -> Reading:
    """Parse the text, find the processor, and check the data against its model. Never raises.

    drill: the run of `rtp drill` that sent the message; without one, the type of its events is refused.
    """
    try:
        event = events.parse(text, fallback)
    except InvalidEventError as error:
        identity = error.identity
        unread = Event[Any](
            id=identity.id, timestamp=identity.timestamp, type=error.type, data=None, digest=digest.of_text(text)
        )
        return Reading(unread, invalid=error)
    if event.type == wire.DRILL:
        return _of_drill(event, registry.get(event.type), drill)
    return _converted(event, registry.get(event.type))


def _of_drill(event: Event[Any], failing: Processor | None, run: str) -> Reading:
    """Find the fault of a drill's event. failing: fails with what keeps the project's processors from being loaded."""
    from rtp.runtime import drill  # only where there is one

    if problem := drill.problem(event, run):
        return Reading(event, invalid=InvalidEventError((problem,), event.identity, event.type))
    return Reading(event, failing or drill.processor(event))


def _converted(event: Event[Any], processor: Processor | None) -> Reading:
    """Convert the data for the processor."""
    if processor is None or processor.data is None:
        return Reading(event, processor)
    try:
        return Reading(event, processor, models.convert(processor.data, jsontext.copied(event.data)))
    except models.MismatchError as error:
        return Reading(event, processor, invalid=InvalidEventError(error.problems, event.identity, event.type))
    except Exception as error:  # raised by the model's own code: the attempt fails with it and is retried
        return Reading(event, _failing(processor, error))
    except SystemExit as error:
        return Reading(event, _failing(processor, exited(error)))


def _failing(processor: Processor, error: Exception) -> Processor:
    """The processor, by name and place, that fails with the error of its model."""

    @wraps(processor.function)
    def fail(_event: Event[Any]) -> Any:
        raise error

    return Processor(processor.type, fail)
