"""The alarms that roll an update back when they fire."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.aws import alarms
from rtp.contract import ROLLBACK_ALARMS, partition
from rtp.ops.stack.steps import Tick
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import every
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Generator

    from rtp.aws import Aws
    from rtp.contract import Names
    from rtp.ops.work.clock import Clock


def quiet(aws: Aws, names: Names) -> tuple[tuple[alarms.Alarm, ...], tuple[str, ...]]:
    """The alarms to watch, which exist and are not in ALARM; and the names of those left out because they are."""
    existing = alarms.alarms(aws, [names.alarm(a) for a in ROLLBACK_ALARMS])
    return tuple(a for a in existing if a.state != "ALARM"), tuple(a.name for a in existing if a.state == "ALARM")


def arn(aws: Aws, name: str) -> str:
    """ARN of an alarm of this account and region."""
    return f"arn:{partition(aws.region)}:cloudwatch:{aws.region}:{aws.account}:alarm:{name}"


def poll(
    aws: Aws,
    watched: tuple[alarms.Alarm, ...],
    seconds: float,
    *,
    since_ms: int,
    clock: Clock = SYSTEM,
) -> Generator[Tick, None, alarms.Alarm | None]:
    """Poll for `seconds`. Yields a tick after each poll; stops when an alarm fires, and returns it.

    since_ms: an alarm that fired after this has fired, even where it is OK again.
    """
    since_ms -= since_ms % 1000  # an engine gives these times in whole seconds
    names = [a.name for a in watched]
    for left in every(0.5 if aws.local else 10.0, timeout_s=seconds, clock=clock):
        for alarm in alarms.alarms(aws, names):
            if (fired := _as_fired(aws, alarm, since_ms)) is not None:
                return fired
        yield Tick(0, 0, round(seconds - left, 2))
    return None


def _as_fired(aws: Aws, alarm: alarms.Alarm, since_ms: int) -> alarms.Alarm | None:
    if alarm.state == "ALARM":
        return alarm
    if alarm.since is None or times.ms(alarm.since) < since_ms:
        return None
    turns = [t for t in alarms.history(aws, alarm.name, since_ms=since_ms) if t.after == "ALARM"]
    return replace(alarm, state="ALARM", reason=turns[-1].reason) if turns else None
