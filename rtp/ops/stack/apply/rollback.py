"""Taking an update back when an alarm rings. On AWS CloudFormation does it; on an engine, which does not, rtp."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from rtp.ops.stack.apply import alarm_watch, execute, publish
from rtp.ops.stack.steps import Phase, Tick, Warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.alarms import Alarm
    from rtp.config import Environment
    from rtp.ops.stack.apply.follow import Underway
    from rtp.ops.stack.steps import Step


def triggers(aws: Aws, environment: Environment, found: Mapping[str, Any] | None, seconds: int) -> publish.Triggers:
    """What CloudFormation is to watch during and after an update; for an engine and for a new stack nothing."""
    if environment.local or found is None:
        return publish.Triggers()
    if seconds:
        watched, _ = alarm_watch.quiet(aws, environment.names)
        return publish.Triggers(tuple(alarm_watch.arn(aws, a.name) for a in watched), max(1, math.ceil(seconds / 60)))
    # A stack keeps the triggers of its last update.
    left = found.get("RollbackConfiguration", {}).get("RollbackTriggers")
    return publish.Triggers(("none",)) if left else publish.Triggers()


def ringing(aws: Aws, environment: Environment) -> Iterator[Warn]:
    """A word on the alarms that cannot be watched."""
    _, names = alarm_watch.quiet(aws, environment.names)
    if names:
        yield Warn(f"Not watched, since in ALARM already: {', '.join(names)}.")


def watch(
    aws: Aws,
    environment: Environment,
    watched: tuple[Alarm, ...],
    seconds: int,
    *,
    since_ms: int,
    old: dict[str, Any],
    paths: Mapping[str, str],
    taken: execute.Applied,
    underway: Underway,
    recheck: Callable[[], None],
) -> Iterator[Step]:
    """Watch alarms on an engine, and bring the old template back when one rings; `taken` then has a reason.

    recheck: raises where the stack is another's by then.
    """
    yield Phase("watching the alarms")
    fired = None
    for look in alarm_watch.poll(aws, watched, seconds, since_ms=since_ms):
        if isinstance(look, float):
            yield Tick(0, 0, round(seconds - look, 2))
        else:
            fired = look
    if fired is None:
        return
    yield Warn(f"{fired.name} is in ALARM: {fired.reason}")
    recheck()
    yield Phase("rolling back")
    stack = environment.names.stack
    before = publish.prepared(aws, stack, json.dumps(old, separators=(",", ":")), None)
    yield from execute.apply(
        aws, before, taken, expected=frozenset(), rollback=True, paths=paths, template=old, underway=underway
    )
    taken.reason = f"{fired.name} rang ({fired.reason})"
