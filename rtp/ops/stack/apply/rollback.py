"""Rolling an update back when an alarm fires. On AWS CloudFormation does that; on an engine, which does not, rtp."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rtp.ops.stack.apply import alarm_watch, execute, publish
from rtp.ops.stack.steps import Phase, Warn

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from rtp.aws.alarms import Alarm
    from rtp.aws.stacks import Stack
    from rtp.ops.stack.apply.follow import Outcome
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.steps import Step


def triggers(target: Target, stack: Stack | None, seconds: int) -> publish.Triggers:
    """The alarms that CloudFormation watches during and after an update; none for an engine and for a new stack.

    stack: the one that is to be updated.
    """
    if target.environment.local or stack is None:
        return publish.Triggers()
    if seconds:
        watched, _ = alarm_watch.quiet(target.aws, target.environment.names)
        arns = tuple(alarm_watch.arn(target.aws, a.name) for a in watched)
        return publish.Triggers(arns, max(1, math.ceil(seconds / 60)))
    # A stack keeps the triggers of its last update.
    return publish.Triggers(("none",)) if stack.has_triggers else publish.Triggers()


def already_firing(target: Target) -> Iterator[Warn]:
    """Names the alarms that cannot be watched."""
    _, names = alarm_watch.quiet(target.aws, target.environment.names)
    if names:
        yield Warn(f"Not watched, since in ALARM already: {', '.join(names)}.")


def watch(
    target: Target,
    operation: Operation,
    watched: tuple[Alarm, ...],
    seconds: int,
    *,
    since_ms: int,
    old: dict[str, Any],
) -> Generator[Step, None, Outcome | None]:
    """Watch alarms on an engine, and update the stack to its old template when one fires.

    Returns how that rollback ended, with the alarm as its reason; None where no alarm fired.
    """
    yield Phase("watching the alarms")
    fired = yield from alarm_watch.poll(target.aws, watched, seconds, since_ms=since_ms)
    if fired is None:
        return None
    yield Warn(f"{fired.name} is in ALARM: {fired.reason}")
    target.recheck()
    yield Phase("rolling back")
    change_set = publish.prepared(target.aws, target.name, json.dumps(old, separators=(",", ":")), None)
    outcome = yield from execute.apply(target, change_set, operation, template=old)
    return replace(outcome, reason=f"{fired.name} fired ({fired.reason})")
