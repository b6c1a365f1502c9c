"""One screen of an incident: what is red, what changed before, and the groups of failures, read side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from rtp.aws import functions, metrics
from rtp.aws.metrics import Series
from rtp.contract import Output
from rtp.errors import NotFoundError, RtpError
from rtp.ops import causes, history
from rtp.ops.telemetry import alarm_words, alarms, running_code
from rtp.ops.telemetry import statusparts as parts
from rtp.ops.telemetry.status import Unread
from rtp.ops.triage import changes, dead_messages, failures, logs_alone, memory, motion, source
from rtp.ops.work import pool
from rtp.runtime import wire
from rtp.text import times
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.aws.alarms import Alarm
    from rtp.config import Environment
    from rtp.ops.dlq.deadlines import Deadlines
    from rtp.ops.history import Entry
    from rtp.ops.local_release import LocalCode
    from rtp.ops.triage.changes import RecentChange
    from rtp.ops.triage.compare import Comparison
    from rtp.ops.triage.failures import Failure
    from rtp.ops.triage.memory import Memory, Note, State
    from rtp.ops.triage.motion import Motion
    from rtp.ops.triage.source import SourceLine
    from rtp.ops.triage.suspects import Suspects
    from rtp.runtime.groups import Group

HOUR_MS = 3_600_000
_WINDOWS = {"last_1h": HOUR_MS, "last_3h": 3 * HOUR_MS, "last_24h": 24 * HOUR_MS, "last_7d": 168 * HOUR_MS}
_LISTED, _MOST_LISTED = 60, 300  # each entry of the history is an object
_KINDS = 20  # event types of which the traffic is read
_GROUPS = 100  # of which the memory is read


@dataclass(frozen=True, slots=True)
class FiringAlarm:
    """An alarm that fires. alarm: its name without the stack's. since: ISO 8601; null where not known."""

    alarm: str
    since: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest failure of a group.

    id: of its event; empty where that is not known, as of a function that does not start. error: type and message, with
    their values. request_id: of the invocation, for an error that only the logs have; else empty.
    """

    id: str
    error: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class ReadLogs:
    """What was read of the functions' logs.

    lines: error lines, the newest. since: from when all were read, ISO 8601. more: whether there may be older ones of
    the last 24 hours, or of the time of a report.
    """

    lines: int
    since: str
    more: bool


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one cause.

    id: by which commands take it. state: new, known, acked, muted, resolved, or regressed. type: of the events. error:
    type and message, without values. at: the line of the project's code; empty where not known. count: failures that
    were read; dead: of dead events; waiting: of events that wait for another attempt; logged: errors that only the logs
    have. last_1h, last_3h, last_24h, last_7d: failures by the time of their last attempt. share: of the events of this
    type that ended in the last 24 h, from 0 to 1; null where not known. first, last: when seen first and last, ISO
    8601; first is empty of a group without failures, of which something was said. release: of the first failure; empty
    where not known. releases: all that failed, oldest first. newest: the newest failure. source: the line with those
    around it, of this folder. notes: what was said of it, oldest first. comparison: with processed events; null without
    --compare. suspects: commits; null without --suspect.
    """

    id: str
    state: State
    type: str
    error: str
    at: str
    count: int
    dead: int
    waiting: int
    logged: int
    last_1h: int
    last_3h: int
    last_24h: int
    last_7d: int
    share: float | None
    first: str
    last: str
    release: str
    releases: list[str]
    newest: Newest
    source: list[SourceLine] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    comparison: Comparison | None = None
    suspects: Suspects | None = None
    failures: list[Failure] = field(default_factory=list, metadata=HIDDEN)


@dataclass(frozen=True, slots=True)
class Triage:
    """What is wrong.

    red: alarms that fire, the oldest first. changes: what changed just before the first failure and since, the newest
    first. groups: of failures, those that need somebody first. queues: how they move. deadlines: when the first dead
    event is lost; null where nothing is. release: that runs now; empty where not known. local_differs: whether this
    folder has other code; null where not known. read: failures of records that were read. more: whether there are
    others. messages: failures that only messages of the DLQ have. logs: what was read of the logs; null where they
    could not be. unread: parts that could not be read. at: when this was read, ISO 8601.
    """

    env: str
    red: list[FiringAlarm]
    changes: list[RecentChange]
    groups: list[FailureGroup]
    queues: list[Motion]
    deadlines: Deadlines | None
    release: str
    local_differs: bool | None
    read: int
    more: bool
    messages: int
    logs: ReadLogs | None
    unread: list[Unread]
    at: str
    said: list[str] = field(default_factory=list, metadata=HIDDEN)  # groups that the history's commands name


def read(aws: Aws, environment: Environment, outputs: Mapping[str, str], local: LocalCode, *, now: int) -> Triage:
    """Read everything side by side. local: the folder's code. Raises AwsError where the records cannot be read."""
    names, settings = environment.names, environment.settings
    shards = settings.index_shards
    calls: dict[str, Callable[[], Any]] = {
        "records": partial(
            failures.read,
            aws,
            outputs[Output.TABLE],
            shards=shards,
            now=now,
            retention_days=settings.dlq_retention_days,
        ),
        "logs": partial(logs_alone.read, aws, outputs, now=now),
        "alarms": partial(alarms.current, aws, names),
        "history": partial(_history, aws, environment),
        "queue": partial(motion.read, aws, outputs[Output.QUEUE_URL], names.queue, now=now),
        "dlq": partial(motion.read, aws, outputs[Output.DLQ_URL], names.dlq, now=now),
        "deadlines": partial(parts.dead_messages, aws, outputs, settings, now=now),
        "functions": lambda: [functions.function(aws, outputs[name]) for name in (Output.PROCESSOR, Output.WORKER)],
    }
    answers = pool.gather(calls)
    if isinstance(failure := answers["records"], Exception):
        raise failure
    unread = [Unread(part, _why(error)) for part, error in answers.items() if isinstance(error, Exception)]
    values = {part: answer for part, answer in answers.items() if not isinstance(answer, Exception)}
    found: failures.Read = values["records"]
    code = running_code.code(values["functions"], local) if "functions" in values else None
    entries: list[Entry] = values.get("history", [])
    release = changes.running(code, entries)
    from_logs: logs_alone.Read | None = values.get("logs")
    in_dlq = dead_messages.Read()
    if "dlq" in values and not found.more:
        try:
            in_dlq = dead_messages.read(aws, outputs, depth=values["dlq"].depth, noted=found.noted)
        except RtpError as error:
            unread.append(Unread("messages of the DLQ", error.message))
    if in_dlq.unread:
        unread.append(Unread("messages of the DLQ", f"{in_dlq.unread:,} of {values['dlq'].depth:,}"))
    recorded = [*found.failures, *in_dlq.failures]
    logged = logs_alone.alone(from_logs, recorded) if from_logs is not None else []
    every = [*found.failures, *(changes.of_its_time(failure, entries) for failure in (*in_dlq.failures, *logged))]
    grouped = causes.grouped(every, lambda each: each.group)[:_GROUPS]
    more_answers = pool.gather(
        {
            "memory": lambda: memory.read(aws, outputs[Output.TABLE], [each.id for each, _ in grouped]),
            "traffic": lambda: _ended(aws, environment, [each.kind for each, _ in grouped], now=now),
        }
    )
    unread += [Unread(part, _why(error)) for part, error in more_answers.items() if isinstance(error, Exception)]
    known = more_answers["memory"] if isinstance(more_answers["memory"], memory.Known) else memory.Known()
    unread += [Unread(f"notes of {g}", f"another program wrote them: {why}") for g, why in known.unreadable.items()]
    ended: Any = more_answers["traffic"] if isinstance(more_answers["traffic"], dict) else {}
    groups = [
        _group(each, same, known.by_group.get(each.id), ended.get(each.kind), environment, running=release, now=now)
        for each, same in grouped
    ]
    firing = [a for a in values.get("alarms", ()) if a.state == "ALARM"]
    red = [
        _firing(a, names.stack) for a in sorted(firing, key=lambda a: (a.since is None, a.since and times.ms(a.since)))
    ]
    return Triage(
        env=environment.name,
        red=red,
        changes=changes.relevant(entries, _begins(groups)),
        groups=sorted(groups, key=_urgency),
        queues=[values[part] for part in ("queue", "dlq") if part in values],
        deadlines=values["deadlines"].deadlines if "deadlines" in values else None,
        release=release,
        local_differs=None if code is None else code.differs,
        read=len(found.failures),
        more=found.more,
        messages=len(in_dlq.failures),
        logs=None if from_logs is None else ReadLogs(from_logs.lines, times.iso(from_logs.since), from_logs.more),
        unread=unread,
        at=times.iso(now),
        said=changes.groups(entries),
    )


def one(found: Triage, part: str) -> FailureGroup:
    """The group with this id, or one that begins so. Raises NotFoundError."""
    matching = [group for group in found.groups if group.id.startswith(part)]
    if len(matching) > 1:
        raise causes.ambiguous(part, [group.id for group in matching])
    if not matching:
        listed = ", ".join(group.id for group in found.groups[:5])
        raise NotFoundError(
            f"No group of failures {part} is among the {found.read:,} failures that were read.",
            hint=f"These were read: {listed}." if listed else "`rtp triage` lists the groups; there is none now.",
        )
    return matching[0]


def _begins(groups: Sequence[FailureGroup]) -> list[int]:
    """When the groups that need somebody begin, or all where none does."""
    urgent = [group for group in groups if group.state in ("new", "regressed")]
    return [times.parse_when(group.first) for group in urgent or groups]


_ORDER = {"regressed": 0, "new": 1, "known": 2, "acked": 3, "muted": 4, "resolved": 5}


def _urgency(group: FailureGroup) -> tuple[int, bool, int, str]:
    """Events that are dead or wait go before errors that only the logs have."""
    return _ORDER[group.state], group.logged == group.count, -group.count, group.id


def _firing(alarm: Alarm, stack: str) -> FiringAlarm:
    short = alarm.name.removeprefix(f"{stack}-")
    since = None if alarm.since is None else _iso(times.ms(alarm.since))
    return FiringAlarm(short, since, alarm_words.explained(short, alarm.reason, alarm.period_s))


def _group(
    group: Group,
    same: Sequence[Failure],
    known: Memory | None,
    ended: float | None,
    environment: Environment,
    *,
    running: str,
    now: int,
) -> FailureGroup:
    newest = max(same, key=lambda failure: failure.last)
    first = min(same, key=lambda failure: failure.first)
    recent = {name: sum(failure.last > now - window for failure in same) for name, window in _WINDOWS.items()}
    dead_24h = sum(failure.status == "dead" and failure.last > now - 24 * HOUR_MS for failure in same)
    return FailureGroup(
        id=group.id,
        state=memory.state(known, same, running=running, now=now),
        type=group.kind,
        error=newest.cause.signature,
        at=newest.cause.at,
        count=len(same),
        dead=sum(failure.status == "dead" for failure in same),
        waiting=sum(failure.status == "failed" for failure in same),
        logged=sum(failure.status == failures.LOGGED for failure in same),
        last_1h=recent["last_1h"],
        last_3h=recent["last_3h"],
        last_24h=recent["last_24h"],
        last_7d=recent["last_7d"],
        share=min(1.0, dead_24h / ended) if ended else None,
        first=times.iso(first.first),
        last=times.iso(newest.last),
        release=first.releases[0] if first.releases else "",
        releases=list(dict.fromkeys(r for failure in sorted(same, key=lambda f: f.first) for r in failure.releases)),
        newest=Newest(
            newest.id,
            newest.cause.text,
            next(iter(newest.requests), "") if newest.status == failures.LOGGED else "",
        ),
        source=source.lines(environment, newest.cause.at),
        notes=list(known.notes) if known is not None else [],
        failures=[failure for failure in same if failure.status != failures.LOGGED],
    )


def _history(aws: Aws, environment: Environment) -> list[Entry]:
    return history.recent(
        aws,
        environment,
        first=_LISTED,
        most=_MOST_LISTED,
        is_enough=lambda entries: bool(changes.running(None, entries)),
    )


def _ended(aws: Aws, environment: Environment, kinds: Sequence[str], *, now: int) -> dict[str, float]:
    """How many events of each type ended in the last 24 hours, by the functions' metrics."""
    chosen = list(dict.fromkeys(kind for kind in kinds if kind))[:_KINDS]  # of a failed start no type is known
    until = now // 60_000 * 60 + 60
    series = [
        Series(
            wire.METRIC_NAMESPACE,
            name,
            (("env", environment.name), ("project", environment.project), ("type", wire.metric_dimension(kind))),
            "Sum",
        )
        for kind in chosen
        for name in ("EventsProcessed", "EventsDead")
    ]
    if not series:
        return {}
    results = metrics.values(aws, series, since_s=until - 86_400, until_s=until, period_s=3600)
    return {kind: sum(results[2 * n]) + sum(results[2 * n + 1]) for n, kind in enumerate(chosen)}


def _why(error: Exception) -> str:
    if isinstance(error, RtpError):
        return error.message
    raise error  # a bug, which keeps its traceback


def _iso(at: int | None) -> str | None:
    return None if at is None else times.iso(at)
