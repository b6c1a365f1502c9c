"""Test processors without AWS, in this very interpreter.

from rtp.runtime.testing import run
import processors

def test_total():
    assert run("order.created", {"total": 12.5}).result == {"total_cents": 1250}
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rtp.runtime import event as events
from rtp.runtime import jsontext, models
from rtp.runtime.registry import REGISTRY, Reject

if TYPE_CHECKING:
    from rtp.runtime.event import Emitted, Event
    from rtp.runtime.registry import Registry


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of an event: its result, what it emitted, and the error if it was refused or failed.

    outcome: processed, invalid (400), rejected (422, or the dead-letter queue), failed (it would be tried again).
    """

    outcome: str
    event: Event | None = None
    result: Any = None
    emitted: tuple[Emitted, ...] = ()
    error: Exception | None = None
    problems: tuple[jsontext.Problem, ...] = field(default=())


def event(type: str, data: Any, *, id: str = "", timestamp: int | None = None, attempt: int = 1) -> Event:
    """An event as a processor of its type gets it: exact numbers, and the model's instance where there is a model.

    Raises what the door would refuse it with.
    """
    made = _read(_payload(type, data, id, timestamp), attempt)
    handled = REGISTRY.get(type)
    if handled is None or handled.data is None:
        return made
    return replace(made, data=models.fit(handled.data, made.data))


def run(
    type: str,
    data: Any,
    *,
    id: str = "",
    timestamp: int | None = None,
    attempt: int = 1,
    registry: Registry = REGISTRY,
) -> Ran:
    """Take one event through the same checks and the same processor as in Lambda."""
    return run_value(_payload(type, data, id, timestamp), attempt=attempt, registry=registry)


def run_value(value: Any, *, attempt: int = 1, registry: Registry = REGISTRY) -> Ran:
    """As `run`, with the whole event: a dict, or its JSON text. An id and a time are made where it has none."""
    try:
        made = _read(value, attempt)
        handled = registry.get(made.type)
        model = None if handled is None or handled.data is None else models.fit(handled.data, made.data)
    except (events.InvalidEventError, jsontext.JsonError, models.MismatchError) as error:
        return Ran("invalid", error=error, problems=error.problems)
    if handled is None:
        return Ran("processed", made)
    given = made if model is None else replace(made, data=model)
    try:
        answer = handled.function(given)
        if handled.is_async:
            import asyncio

            answer = asyncio.run(answer)
        result = None if answer is None else jsontext.exact(answer)
    except Reject as error:
        return Ran("rejected", made, error=error)
    except Exception as error:
        return Ran("failed", made, error=error)
    return Ran("processed", made, result, tuple(made.emitted))


def _payload(type: str, data: Any, id: str, timestamp: int | None) -> dict[str, Any]:
    now = int(time.time() * 1000)
    return {
        "type": type,
        "data": data,
        "id": id or str(uuid.uuid4()),
        "timestamp": now if timestamp is None else timestamp,
    }


def _read(value: Any, attempt: int) -> Event:
    fallback = events.Identity(str(uuid.uuid4()), int(time.time() * 1000))
    text = value if isinstance(value, (str, bytes)) else jsontext.dumps(jsontext.exact(value))
    made = events.parse(text, fallback)
    made.attempt = attempt
    return made
