"""The parts of a status, each read by one function, and the problems in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rtp.aws import metrics, queues, stacks, trail
from rtp.aws.metrics import Series
from rtp.aws.records import StatusQuery
from rtp.aws.states import StackState
from rtp.contract import Alarm as AlarmName
from rtp.contract import Output, Tag
from rtp.ops import causes
from rtp.ops.dlq import deadlines
from rtp.ops.dlq.deadlines import Dead
from rtp.ops.events import records
from rtp.ops.telemetry import alarm_words
from rtp.runtime import dlqnote, wire
from rtp.runtime.dlqnote import ATTRIBUTE
from rtp.text import times
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from rtp.aws import Aws
    from rtp.aws.alarms import Alarm
    from rtp.aws.functions import EventSource, Function
    from rtp.aws.usage import Quota
    from rtp.config.settings import Settings
    from rtp.contract import Names
    from rtp.ops.causes import Cause
    from rtp.ops.dlq.deadlines import Deadlines

HOUR_S = 3600
DEAD_WINDOW_MS = 14 * 86_400_000  # how long the DLQ keeps a message
DEAD_MOST = 1_000
_WAITING = 100  # records that wait for another attempt, of which the last failure is looked for
NOTED_WINDOW_MS = 60 * 86_400_000  # an event's own timestamp may be older than its message
_LOW_QUOTA = 0.05


@dataclass(frozen=True, slots=True)
class Stack:
    """The stack and its last deploy.

    project, environment: from the stack's tags; null without the tag. state: CloudFormation's status.
    created: when, ISO 8601; null where it is not known. deployed: when last, ISO 8601; null where it is not known.
    deployed_by: who deployed last, from CloudTrail; null where it is not known.
    version: the version of rtp that deployed it; null where it is not known.
    """

    name: str
    project: str | None
    environment: str | None
    state: str
    reason: str
    created: str | None
    deployed: str | None
    deployed_by: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Queue:
    """Messages in a queue; SQS calls these numbers approximate.

    depth: all of them. visible: waiting. in_flight: received and not deleted yet. delayed: not visible yet.
    oldest_s: age of the oldest, of the DLQ's since it was first sent; null where it is not known.
    """

    name: str
    depth: int
    visible: int
    in_flight: int
    delayed: int
    oldest_s: int | None


@dataclass(frozen=True, slots=True)
class DeadMessages:
    """The messages in the DLQ that dead records note. oldest_s: age of the oldest; null without one."""

    oldest_s: int | None
    deadlines: Deadlines


@dataclass(frozen=True, slots=True)
class ErrorCount:
    """Dead events with the same error.

    error: type and message, without numbers and ids. count: dead records.
    newest: type and message of the newest of them, with its values.
    """

    error: str
    count: int
    newest: str = ""


@dataclass(frozen=True, slots=True)
class Failures:
    """The errors of dead events, the most frequent first, and when the last attempt failed, epoch ms."""

    errors: list[ErrorCount]
    last: int | None


@dataclass(frozen=True, slots=True)
class LastHour:
    """Sums of the last hour.

    requests: to the API. errors_4xx: answers of the API with a 4xx. errors_5xx: with a 5xx.
    p50_ms: median latency; null without a request. p95_ms: 95th percentile of the latency; null without a request.
    processed: events processed. failed: failed attempts. rejected: events rejected. dead: events that died.
    duplicates: deliveries of an event that was processed already. conflicts: of events whose id and timestamp another
    event has. function_errors: of both functions. throttles: of both functions.
    """

    requests: int
    errors_4xx: int
    errors_5xx: int
    p50_ms: float | None
    p95_ms: float | None
    processed: int
    failed: int
    rejected: int
    dead: int
    duplicates: int
    conflicts: int
    function_errors: int
    throttles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What could be read of the other parts; None, or empty, where it could not. intake: what is wrong with it."""

    queues: Mapping[str, Queue]
    event_sources: list[EventSource] | None
    functions: list[Function] | None
    alarms: list[Alarm]
    quota: Quota | None
    intake: str


def stack(described: stacks.Stack, *, by: str | None) -> Stack:
    """The stack, and who deployed it last."""
    return Stack(
        name=described.name,
        project=described.tags.get(Tag.PROJECT),
        environment=described.tags.get(Tag.ENVIRONMENT),
        state=str(described.state),
        reason=described.reason,
        created=_iso(described.created),
        deployed=_iso(described.updated),
        deployed_by=by,
        version=described.outputs.get(Output.VERSION),
    )


def deployer(aws: Aws, name: str) -> str | None:
    """Who deployed last, from CloudTrail; None where it has no such event."""
    return trail.deployer(aws, name)


def queue(aws: Aws, url: str, name: str, *, now: int) -> Queue:
    """Depth and age. SQS reports the age as a metric only, one or two minutes late."""
    depth = queues.depth(aws, url)
    oldest: int | None = 0
    if depth.total:
        series = Series("AWS/SQS", "ApproximateAgeOfOldestMessage", (("QueueName", name),), "Maximum")
        until = now // 60_000 * 60 + 60
        ages = metrics.values(aws, [series], since_s=until - 600, until_s=until, period_s=60)[0]
        # SQS ignores messages that were received three times, as those of the DLQ are by inspecting it: 0 is unknown.
        oldest = (int(ages[-1]) or None) if ages else None
    return Queue(name, depth.total, depth.visible, depth.in_flight, depth.delayed, oldest)


def dead_messages(aws: Aws, outputs: Mapping[str, str], settings: Settings, *, now: int) -> DeadMessages:
    """Age and deadlines of the messages in the DLQ, by the records' notes of when each was sent.

    CloudWatch counts a message's age from its move to the DLQ, and SQS its expiry from when it was first sent.
    """
    retention_s = queues.depth(aws, outputs[Output.DLQ_URL]).retention_s
    message_days = settings.dlq_retention_days if retention_s is None else retention_s * 1000 / deadlines.DAY_MS
    query = StatusQuery("dead", now - NOTED_WINDOW_MS, now + 60_000, DEAD_MOST, has=ATTRIBUTE, oldest_first=True)
    oldest_dead = records.merged(aws, outputs[Output.TABLE], query, shards=settings.index_shards)
    notes = [(dlqnote.read(r.get(ATTRIBUTE) or {}), str(r.get("raw_key", ""))) for r in oldest_dead]
    expiry_ms = round(message_days * deadlines.DAY_MS)
    dead = [Dead(n.sent_at, key) for n, key in notes if n is not None and n.is_sent and n.sent_at + expiry_ms > now]
    oldest = min((event.sent_at for event in dead), default=None)
    first = deadlines.of(dead, message_days=message_days, raw_days=settings.raw_expiry_days, now=now)
    return DeadMessages(None if oldest is None else max(0, now - oldest) // 1000, first)


def failures(aws: Aws, table: str, *, shards: int, now: int) -> Failures:
    """The errors of the newest dead records, and the last failure of these and of those that wait for an attempt."""
    query = records.RecordQuery(since=now - DEAD_WINDOW_MS, until=now + 60_000, limit=DEAD_MOST)
    dead = records.by_status(aws, table, "dead", query, shards=shards)
    groups = causes.grouped(dead, lambda r: causes.group(str(r.get("type", "")), causes.of(r.get("error"))))
    errors = [_error_count(causes.of(same[0].get("error")), len(same)) for _, same in groups]
    waiting = records.by_status(aws, table, "failed", replace(query, limit=_WAITING), shards=shards)
    ends = [int(r["attempted_at"]) for r in [*dead, *waiting] if r.get("attempted_at")]
    return Failures(errors, max(ends, default=None))


def last_hour(aws: Aws, names: Names, *, now: int) -> LastHour:
    """Requests, events and errors of the last 60 minutes."""
    gateway, events = (("ApiName", names.api),), (("env", names.env), ("project", names.project))
    series = [
        *(Series("AWS/ApiGateway", n, gateway, "Sum") for n in ("Count", "4XXError", "5XXError")),
        *(Series("AWS/ApiGateway", "Latency", gateway, p) for p in ("p50", "p95")),
        *(
            Series(wire.METRIC_NAMESPACE, f"Events{n}", events, "Sum")
            for n in ("Processed", "Failed", "Rejected", "Dead", "Duplicate", "Conflicting")
        ),
        *(
            Series("AWS/Lambda", n, (("FunctionName", f),), "Sum")
            for n in ("Errors", "Throttles")
            for f in (names.processor, names.worker)
        ),
    ]
    since = now // 60_000 * 60 - HOUR_S + 60
    results = metrics.values(aws, series, since_s=since, until_s=since + HOUR_S, period_s=HOUR_S)
    sums = [round(sum(values)) for values in results]
    # CloudWatch counts from the period's start; an engine may split it at the full hour: then the worse half counts.
    p50, p95 = (max(values) if values else None for values in results[3:5])
    return LastHour(
        requests=sums[0],
        errors_4xx=sums[1],
        errors_5xx=sums[2],
        p50_ms=None if p50 is None else round(p50, 1),
        p95_ms=None if p95 is None else round(p95, 1),
        processed=sums[5],
        failed=sums[6],
        rejected=sums[7],
        dead=sums[8],
        duplicates=sums[9],
        conflicts=sums[10],
        function_errors=sums[11] + sums[12],
        throttles=sums[13] + sums[14],
    )


def problems(stack: Stack, settings: Settings, parts: Parts) -> list[str]:
    """What is wrong, causes before effects, with the command to continue with."""
    problems = []
    state = StackState.of(stack.state)
    if not state.usable:
        problems.append(f"the stack is {state}" + ("" if state.busy else "; `rtp deploy` explains and fixes it"))
    for function in parts.functions or ():
        if function.state not in ("Active", "Inactive", ""):
            problems.append(f"{function.name} is {function.state}: {function.reason}".rstrip(": "))
        if function.update == "Failed":
            problems.append(f"the last update of {function.name} failed: {function.reason}".rstrip(": "))
    if parts.event_sources is not None:
        states = [s.state for s in parts.event_sources]
        if "Enabled" not in states:
            problems.append(f"the queue is not consumed: its event source is {states[0] if states else 'missing'}")
    if parts.intake:
        problems.append(parts.intake)
    dlq = parts.queues.get("dlq")
    look = "; see `rtp dlq inspect`" if dlq is not None and dlq.depth >= settings.alarm_dlq_messages else ""
    firing = [a for a in parts.alarms if a.state == "ALARM"]
    if dlq is not None and look and all(_short(a, stack) != AlarmName.DLQ_MESSAGES for a in firing):
        problems.append(f"{many(dlq.depth, 'message')} in the DLQ{look}")
    queue = parts.queues.get("queue")
    if queue is not None and (queue.oldest_s or 0) >= settings.alarm_queue_age_s:
        problems.append(f"the oldest message has been waiting for {times.span((queue.oldest_s or 0) * 1000)}")
    problems += [
        f"{alarm_problem(a.name, stack.name)}{alarm_words.explained(_short(a, stack), a.reason, a.period_s)}"
        f"{look if _short(a, stack) == AlarmName.DLQ_MESSAGES else ''}"
        for a in firing
    ]
    quota = parts.quota
    if quota is not None and quota.left <= quota.limit * _LOW_QUOTA:
        problems.append(f"{quota.left:,} of {quota.limit:,} requests are left of the quota per {quota.period.lower()}")
    return problems


def alarm_problem(alarm: str, stack: str) -> str:
    """The beginning of the problem of an alarm that fires."""
    return f"alarm {alarm.removeprefix(f'{stack}-')}: "


def _short(alarm: Alarm, stack: Stack) -> str:
    return alarm.name.removeprefix(f"{stack.name}-")


def losses(first: Deadlines | None, within_ms: int, *, now: int) -> list[str]:
    """The problem of dead events that are lost within a time, by the limit that comes first."""
    limit = None if first is None else first.within(within_ms, now=now)
    if first is None or limit is None:
        return []
    at = first.message if limit == "message" else first.raw
    left = times.span(max(0, times.parse_when(at or "") - now))
    if limit == "message":
        return [f"the first message in the DLQ is lost in {left}; redrive it by `rtp dlq redrive`"]
    return [
        f"the first raw event of a dead event is lost in {left}, and can then not be replayed; see `rtp dlq inspect`"
    ]


def _error_count(newest: Cause, count: int) -> ErrorCount:
    return ErrorCount(newest.signature or "unknown", count, newest.text or "unknown")


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else times.iso(moment.timestamp() * 1000)
