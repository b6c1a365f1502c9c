"""What each fault of a drill sends, how its events are expected to end, and which alarms are expected to fire."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rtp.contract import Alarm

if TYPE_CHECKING:
    from rtp.config.settings import Settings

_BLOCKING = 10  # one event in so many blocks the event loop
_SHARE = 0.8  # of the function's time, which an event that is slow may take
_SPREAD_S = 200.0  # the alarm of slow functions looks at three minutes


class Fault(StrEnum):
    """A fault; the functions know them by these names."""

    POISON = "poison"
    FLOOD = "flood"
    DUPLICATE = "duplicate"
    SLOW = "slow"
    THROTTLE = "throttle"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a drill does. copies: messages of each event. data: of each event. expected: status in which events end.

    alarms: those that the fault is certain to fire. spread_s: the time over which the events are sent.
    """

    copies: int
    data: tuple[dict[str, Any], ...]
    expected: str
    alarms: frozenset[Alarm]
    spread_s: float = 0.0


def plan(fault: Fault, count: int, settings: Settings, *, local: bool, timeout_s: float) -> Plan:
    """Plan a drill by the environment's settings. An alarm is expected only where its threshold is reached surely."""
    data: list[dict[str, Any]] = [{"fault": fault.value} for _ in range(count)]
    failing, expected, alarms, spread_s = 0, "processed", set[Alarm](), 0.0
    if fault is Fault.POISON:
        failing, expected = count, "dead"
        if count >= settings.alarm_dlq_messages:
            alarms.add(Alarm.DLQ_MESSAGES)
    elif fault is Fault.THROTTLE:
        failing = count
    elif fault is Fault.BLOCKED:
        failing = -(-count // _BLOCKING)
        for each in data[::_BLOCKING]:
            each["blocks"] = True
    elif fault is Fault.SLOW:
        needed_s = settings.alarm_duration_ms / 1000 * 1.05
        seconds = min(needed_s, settings.timeout_s * _SHARE)
        for each in data:
            each["seconds"] = round(seconds, 3)
        # The local engine's alarm is of the API function alone.
        if not local and seconds == needed_s and timeout_s >= 2 * _SPREAD_S:
            alarms.add(Alarm.LAMBDA_DURATION)
            spread_s = _SPREAD_S
    if failing >= settings.alarm_worker_failures:
        alarms.add(Alarm.WORKER_FAILURES)
    return Plan(2 if fault is Fault.DUPLICATE else 1, tuple(data), expected, frozenset(alarms), spread_s)
