"""Alarms that may take an update back while it settles."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.aws import alarms
from rtp.contract import ROLLBACK_ALARMS, partition
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws
    from rtp.contract import Names


def quiet(aws: Aws, names: Names) -> tuple[tuple[alarms.Alarm, ...], tuple[str, ...]]:
    """The watched alarms that are there and not in ALARM, and the names of those left out since they are."""
    found = alarms.alarms(aws, [names.alarm(a) for a in ROLLBACK_ALARMS])
    return tuple(a for a in found if a.state != "ALARM"), tuple(a.name for a in found if a.state == "ALARM")


def arn(aws: Aws, name: str) -> str:
    """ARN of an alarm of this account and region."""
    return f"arn:{partition(aws.region)}:cloudwatch:{aws.region}:{aws.account}:alarm:{name}"


def poll(
    aws: Aws,
    watched: tuple[alarms.Alarm, ...],
    seconds: float,
    *,
    since_ms: int,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[alarms.Alarm | float]:
    """Look at them for so long: the seconds left after each look, and at the end the alarm that rang, if one did.

    since_ms: an alarm that rang after this and is quiet again has rung.
    """
    deadline = clock() + seconds
    since_ms -= since_ms % 1000  # an engine gives these times in whole seconds
    names = [a.name for a in watched]
    while (left := deadline - clock()) > 0:
        found = [_as_fired(aws, a, since_ms) for a in alarms.alarms(aws, names)]
        ringing = [a for a in found if a is not None]
        if ringing:
            yield ringing[0]
            return
        yield left
        sleep(min(left, 0.5 if aws.local else 10.0))


def _as_fired(aws: Aws, alarm: alarms.Alarm, since_ms: int) -> alarms.Alarm | None:
    if alarm.state == "ALARM":
        return alarm
    if alarm.since is None or times.ms(alarm.since) < since_ms:
        return None
    turns = [t for t in alarms.history(aws, alarm.name, since_ms=since_ms) if t.after == "ALARM"]
    return replace(alarm, state="ALARM", reason=turns[-1].reason) if turns else None
