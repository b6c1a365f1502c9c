"""Test processors in this interpreter, without AWS.

from rtp.runtime.testing import run
import processors

def test_total():
    assert run("order.created", {"total": 12.5}).result == {"total_cents": 1250}
"""

from __future__ import annotations

import os
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rtp.runtime import jsontext
from rtp.runtime import secrets as secret_values
from rtp.runtime.event import Identity
from rtp.runtime.jsontext import JsonError
from rtp.runtime.reading import read
from rtp.runtime.registry import REGISTRY
from rtp.runtime.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.runtime.event import Emitted, Event
    from rtp.runtime.reading import Reading
    from rtp.runtime.registry import Answer, Processor, Registry


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of an event: its result and emitted events, or the error if it was refused or failed.

    outcome: processed, invalid (400), rejected (422, or the dead-letter queue), failed (it would be retried).
    """

    outcome: str
    event: Event[Any] | None = None
    processor: Processor | None = None
    result: Any = None
    emitted: tuple[Emitted, ...] = ()
    error: Exception | None = None
    problems: tuple[jsontext.Problem, ...] = field(default=())


@contextmanager
def given(*, variables: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None) -> Iterator[None]:
    """Give processors environment variables and secrets for a block, or as a decorator for a test.

    with given(variables={"PARTNER_URL": "https://partner.example"}, secrets={"PARTNER_TOKEN": "t"}):
        run("order.created", {"total": 12.5})
    """
    before = {name: os.environ.get(name) for name in variables or {}}
    os.environ.update(variables or {})
    secrets_before = secret_values.give({**(secret_values.given() or {}), **(secrets or {})})
    try:
        yield
    finally:
        secret_values.give(secrets_before)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def event(type: str, data: Any, *, id: str = "", timestamp: int | None = None, attempt: int = 1) -> Event[Any]:
    """Create an event as its processor gets it: exact numbers, and an instance of the model if there is one.

    Raises the error with which the API would refuse it.
    """
    reading = _read(_payload(type, data, id, timestamp), REGISTRY)
    if reading.invalid is not None:
        raise reading.invalid
    return replace(reading.event, data=reading.data(), attempt=attempt)


def run(
    type: str,
    data: Any,
    *,
    id: str = "",
    timestamp: int | None = None,
    attempt: int = 1,
    registry: Registry = REGISTRY,
) -> Result:
    """Run one event through the same checks and the same processor as in Lambda."""
    return run_event(_payload(type, data, id, timestamp), attempt=attempt, registry=registry)


def run_event(value: Any, *, attempt: int = 1, registry: Registry = REGISTRY) -> Result:
    """Run a whole event, as a dict or JSON text, like `run`. A missing id or timestamp is generated."""
    try:
        reading = _read(value, registry)
    except JsonError as error:
        return Result("invalid", error=error, problems=error.problems)
    if reading.invalid is not None:
        return Result(judge(reading.invalid).kind, error=reading.invalid, problems=reading.invalid.problems)
    event = replace(reading.event, attempt=attempt)
    if reading.processor is None:
        return Result(judge(None).kind, event)
    try:
        answer = _call(reading.processor, replace(event, data=reading.data(), emitted=[]))
    except Exception as error:
        return Result(judge(error).kind, event, reading.processor, error=error)
    return Result(judge(None).kind, event, reading.processor, answer.result, answer.emitted)


def _call(processor: Processor, event: Event[Any]) -> Answer:
    if not processor.is_async:
        return processor.call(event)
    import asyncio

    return asyncio.run(processor.call_async(event))


def _read(value: Any, registry: Registry) -> Reading:
    """Read an event. Raises JsonError for a value that is not JSON."""
    text = value if isinstance(value, (str, bytes)) else jsontext.dumps(jsontext.exact(value))
    return read(registry, text, Identity(str(uuid.uuid4()), int(time.time() * 1000)))


def _payload(type: str, data: Any, id: str, timestamp: int | None) -> dict[str, Any]:
    now = int(time.time() * 1000)
    return {
        "type": type,
        "data": data,
        "id": id or str(uuid.uuid4()),
        "timestamp": now if timestamp is None else timestamp,
    }
