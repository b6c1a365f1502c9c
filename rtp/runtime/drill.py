"""The faults of `rtp drill`: what its events do, instead of a processor of the project.

Such an event is accepted only from a message with the attribute of the run, which no client of the API can set.
"""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rtp.runtime import wire
from rtp.runtime.jsontext import Problem
from rtp.runtime.registry import Processor

if TYPE_CHECKING:
    from rtp.runtime.event import Event

MAX_SECONDS = 900  # of an event that is slow or blocks: the longest time that Lambda gives a function
_PAUSE_S = 0.01  # short, so that the runtime can interrupt what blocks


class DrillError(Exception):
    """A drill lets the attempt fail."""


class ThrottledDependencyError(DrillError):
    """A drill lets the attempt fail as a throttled dependency does."""


def problem(event: Event[Any], run: str) -> Problem | None:
    """Why an event of the reserved type is refused; None for one that the run sent."""
    if not run:
        return Problem("$.type", f"{wire.DRILL} is reserved for `rtp drill`")
    data = event.data
    if data.get("run") != run:
        return Problem("$.data.run", "is not the drill that sent the message")
    if data.get("fault") not in wire.FAULTS:
        return Problem("$.data.fault", f"must be one of {', '.join(wire.FAULTS)}")
    seconds = data.get("seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, Decimal)) or not 0 <= seconds <= MAX_SECONDS:
        return Problem("$.data.seconds", f"must be a number from 0 to {MAX_SECONDS}")
    return None


def processor(event: Event[Any]) -> Processor:
    """What processes a valid event of a drill."""
    return Processor(wire.DRILL, _FAULTS[event.data["fault"]])


def _poison(_event: Event[Any]) -> Any:
    raise DrillError("the drill lets each attempt fail")


def _throttle(event: Event[Any]) -> Any:
    if event.attempt == 1:
        raise ThrottledDependencyError("the drill lets the first attempt fail: rate exceeded")
    return _done(event)


def _slow(event: Event[Any]) -> Any:
    time.sleep(float(event.data.get("seconds", 0)))
    return _done(event)


async def _blocked(event: Event[Any]) -> Any:
    """Block the event loop in the first attempt, if the event is to, until the runtime interrupts it."""
    if event.data.get("blocks") is True and event.attempt == 1:
        end = time.monotonic() + MAX_SECONDS
        while time.monotonic() < end:
            time.sleep(_PAUSE_S)  # the fault
    return _done(event)


def _done(event: Event[Any]) -> Any:
    return {"drill": event.data["run"], "attempt": event.attempt}


_FAULTS = {
    "poison": _poison,
    "flood": _done,
    "duplicate": _done,
    "slow": _slow,
    "throttle": _throttle,
    "blocked": _blocked,
}
