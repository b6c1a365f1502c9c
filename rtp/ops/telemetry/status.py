"""The status of a deployed pipeline. Parts are read concurrently; one that cannot be read is reported as such."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rtp.aws import api, functions, stacks, usage
from rtp.contract import Output, queue_arn
from rtp.errors import MissingError, NotFoundError, RtpError
from rtp.ops import secrets
from rtp.ops.access import ownership
from rtp.ops.keys import stored as keys
from rtp.ops.local_release import NONE as NO_CODE
from rtp.ops.stack.compare import missing
from rtp.ops.stack.compare.missing import Found
from rtp.ops.stack.teardown import intake
from rtp.ops.telemetry import alarms, clearing, running_code
from rtp.ops.telemetry import statusparts as parts
from rtp.ops.work import pool
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.aws.alarms import Alarm
    from rtp.aws.functions import EventSource, Function
    from rtp.aws.usage import Quota
    from rtp.config import Environment
    from rtp.ops.dlq.deadlines import Deadlines
    from rtp.ops.local_release import LocalCode
    from rtp.ops.stack.compare.missing import Missing
    from rtp.ops.telemetry.clearing import Clearing
    from rtp.ops.telemetry.running_code import Code
    from rtp.ops.telemetry.statusparts import ErrorCount, LastHour, Queue, Stack

# A pipeline is healthy only if these could be read.
_VITAL = ("queue", "dlq", "alarms", "event source", "functions")


@dataclass(frozen=True, slots=True)
class Unread:
    """A part that could not be read.

    part: which one. message: why.
    """

    part: str
    message: str


@dataclass(frozen=True, slots=True)
class Status:
    """The pipeline at one moment. What could not be read is null or empty, and listed in `unread`.

    functions: both. event_sources: the mappings that pass the queue's messages to the worker.
    missing: resources of the stack that were deleted outside CloudFormation, or whose deletion is pending.
    queues: the queue and the DLQ, by name. dead_by_error: dead records of the last 14 days, by cause.
    alarms: firing ones first. last_hour: sums. quota: of the API key. healthy: whether `problems` is empty.
    problems: what is wrong, one text each. unread: parts that could not be read. at: when this was read, ISO 8601.
    deadlines: when the first dead event is lost; null where the DLQ is empty or this is not known.
    last_failure: when the last attempt failed, ISO 8601; null where none did in 14 days. clearing: alarms that fire.
    code: what the functions run; null where it is not known.
    """

    env: str
    stack: Stack
    endpoints: dict[str, str]
    functions: list[Function]
    event_sources: list[EventSource]
    missing: list[Missing]
    queues: dict[str, Queue]
    dead_by_error: list[ErrorCount]
    alarms: list[Alarm]
    last_hour: LastHour | None
    quota: Quota | None
    healthy: bool
    problems: list[str]
    unread: list[Unread]
    at: str
    deadlines: Deadlines | None = None
    last_failure: str | None = None
    clearing: list[Clearing] = field(default_factory=list)
    code: Code | None = None


def read(
    aws: Aws,
    environment: Environment,
    *,
    now: int | None = None,
    lose_within_ms: int | None = None,
    local: LocalCode = NO_CODE,
) -> Status:
    """Read the status. Raises NotFoundError when nothing is deployed.

    lose_within_ms: a dead event that is lost within this time is a problem. local: the folder's code.
    """
    now = times.now_ms() if now is None else now
    names = environment.names
    described = stacks.describe(aws, names.stack)
    if described is None or described.state.in_review:
        raise NotFoundError(
            f"{names.stack} is not deployed in {aws.region}.", hint="Run `rtp deploy`.", code="not-deployed"
        )
    outputs = described.outputs
    calls = _calls(aws, environment, outputs, now)
    if described.state.usable:  # CloudFormation creates and deletes resources in the other states
        calls["resources"] = partial(missing.find, aws, described.id)
    answers = pool.gather(calls)
    values: dict[str, Any] = {part: a for part, a in answers.items() if not isinstance(a, Exception)}
    unread = [Unread(part, _why(error)) for part, error in answers.items() if isinstance(error, Exception)]
    queues: dict[str, Queue] = {part: values[part] for part in ("queue", "dlq") if part in values}
    dead = None
    if "dlq" in queues and queues["dlq"].depth:
        try:
            dead = parts.dead_messages(aws, outputs, environment.settings, now=now)
        except RtpError as error:
            unread.append(Unread("dead messages", error.message))
        else:
            queues["dlq"] = replace(queues["dlq"], oldest_s=dead.oldest_s or queues["dlq"].oldest_s)
    stack = parts.stack(described, by=values.get("last deploy"))
    owner = ownership.foreign(aws, described, environment)
    problems = [ownership.describe(environment, owner)] if owner is not None else []
    failures: parts.Failures = values.get("dead records", parts.Failures([], None))
    found: Found = values.get("resources", Found(()))
    problems += [m.problem for m in found.missing]
    unread += [Unread("resources", text) for text in found.unread]
    readable = parts.Parts(
        queues=queues,
        event_sources=values.get("event source"),
        functions=values.get("functions"),
        alarms=values.get("alarms", []),
        quota=values.get("quota"),
        intake=values.get("intake", ""),
    )
    problems += parts.problems(stack, environment.settings, readable)
    if lose_within_ms is not None:
        problems += parts.losses(dead.deadlines if dead else None, lose_within_ms, now=now)
        problems += [f"{u.part} could not be read: {u.message}" for u in unread if u.part == "dead messages"]
    problems += [
        f"the secret {s.name} has no value; `rtp secrets list` says how to set it"
        for s in values.get("secrets", ())
        if s.state == "missing"
    ]
    problems += [
        f"the rotation of the key of {name} is not finished for a week; `rtp keys rotate` with --finish does that"
        for name in values.get("keys", ())
    ]
    explained = {part for part, e in answers.items() if found.gone and isinstance(e, MissingError)}
    problems += [f"{u.part} could not be read: {u.message}" for u in unread if u.part in {*_VITAL} - explained]
    return Status(
        env=environment.name,
        stack=stack,
        endpoints=_endpoints(aws, outputs),
        functions=readable.functions or [],
        event_sources=readable.event_sources or [],
        missing=list(found.missing),
        queues=queues,
        dead_by_error=failures.errors,
        alarms=readable.alarms,
        last_hour=values.get("metrics"),
        quota=readable.quota,
        healthy=not problems,
        problems=problems,
        unread=unread,
        at=times.iso(now),
        deadlines=dead.deadlines if dead else None,
        last_failure=None if failures.last is None else times.iso(failures.last),
        clearing=_clearing(aws, readable.alarms, unread, now=now),
        code=running_code.code(readable.functions, local) if readable.functions else None,
    )


def _clearing(aws: Aws, found: Sequence[Alarm], unread: list[Unread], *, now: int) -> list[Clearing]:
    """What the alarms that fire measure now; what cannot be read is added to `unread`."""
    try:
        return clearing.read(aws, [alarm for alarm in found if alarm.state == "ALARM"], now=now)
    except RtpError as error:
        unread.append(Unread("values of alarms", error.message))
        return []


def _calls(aws: Aws, environment: Environment, outputs: Mapping[str, str], now: int) -> dict[str, Callable[[], object]]:
    """The calls by name of the part; of a stack without outputs only those that need just its name."""
    names, shards = environment.names, environment.settings.index_shards
    calls: dict[str, Callable[[], object]] = {"alarms": partial(alarms.current, aws, names)}
    calls["metrics"] = partial(parts.last_hour, aws, names, now=now)
    if not aws.local:
        calls["last deploy"] = partial(parts.deployer, aws, names.stack)
    if environment.settings.secrets:
        calls["secrets"] = partial(secrets.declared_states, aws, environment)
    if Output.DLQ_URL in outputs:
        workers = (outputs[Output.PROCESSOR], outputs[Output.WORKER])
        calls |= {
            "queue": partial(parts.queue, aws, outputs[Output.QUEUE_URL], names.queue, now=now),
            "dlq": partial(parts.queue, aws, outputs[Output.DLQ_URL], names.dlq, now=now),
            "dead records": partial(parts.failures, aws, outputs[Output.TABLE], shards=shards, now=now),
            "event source": partial(functions.event_sources, aws, queue_arn(outputs, names.queue)),
            "intake": partial(intake.noticed, aws, outputs),
            "functions": lambda: [functions.function(aws, name) for name in workers],
            "keys": partial(keys.stale_rotations, aws, environment, now=now),
            "quota": partial(usage.quota, aws, outputs[Output.USAGE_PLAN_ID], outputs[Output.API_KEY_ID]),
        }
    return calls


def _endpoints(aws: Aws, outputs: Mapping[str, str]) -> dict[str, str]:
    if Output.API_URL not in outputs:
        return {}
    base = api.url(outputs, aws)
    return {"process": f"{base}process", "events": f"{base}events"}


def _why(error: Exception) -> str:
    if isinstance(error, RtpError):
        return error.message
    raise error  # a bug, which keeps its traceback
