"""An incident in order of time, for the post-mortem: alarms, releases, failures, repairs, what was said, and the proof.

Nothing of an event's data is in it, nor a text of an exception: type of the error and line of code name a cause.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from rtp.contract import Output
from rtp.errors import RtpError
from rtp.ops import history
from rtp.ops.telemetry import alarm_words, alarms
from rtp.ops.telemetry.status import Unread
from rtp.ops.triage import changes, failures, logs_alone, memory, motion, repaired
from rtp.ops.triage.report import ReadLogs
from rtp.ops.work import pool
from rtp.text import times
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.config import Environment
    from rtp.ops.dlq.runs import Stores
    from rtp.ops.history import Entry
    from rtp.ops.telemetry.alarms import Alarms
    from rtp.ops.triage.memory import Memory, Note
    from rtp.ops.triage.motion import Motion
    from rtp.ops.triage.repaired import Repaired, Seen

Kind = Literal["alarm", "release", "failure", "repair", "triage", "change"]
MOST_CHANGES, MOST_ENTRIES, MOST_GROUPS = 1_000, 500, 100
_LOGS_S = 3.0  # after which no further request for log lines is begun
_RELEASES = ("deploy", "rollback", "destroy")
_AHEAD_MS = 15 * 60_000  # AWS refuses requests of a clock that differs by more
_REPAIRS = ("dlq redrive", "dlq purge", "dlq undo", "dlq stop", "replay")
_STATES = {"ALARM": "fired", "OK": "is OK again", "INSUFFICIENT_DATA": "has no data"}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened.

    at: ISO 8601. kind: alarm, release, failure, repair, triage, or change for any other command. what: in a few words.
    detail: more of it. outcome: of a command; empty for others. who: the AWS identity, or the user where there is none.
    run: of a command, for `rtp history RUN`. release: of a deploy, or of a group's first failure. group: id of the
    failures that it is about.
    """

    at: str
    kind: Kind
    what: str
    detail: str = ""
    outcome: str = ""
    who: str = ""
    run: str = ""
    release: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class IncidentGroup:
    """Failures of one cause in this time.

    id: by which commands take it. type: of the events. error: its type. at: the line of the project's code; empty where
    not known. first, last: failures, ISO 8601. release: of the first one. events: that failed.
    processed, dead, waiting: what they are now. logged: errors that only the functions' logs have, beside these events.
    said: acked, muted or resolved; empty for nothing. notes: all that was said.
    """

    id: str
    type: str
    error: str
    at: str
    first: str
    last: str
    release: str
    events: int
    processed: int
    dead: int
    waiting: int
    logged: int = 0
    said: str = ""
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is left of an incident.

    events: that failed in this time and are known. processed, dead, waiting: what they are now.
    other: without a record, or in conflict with another event. queue, dlq: messages in the queues now; null where not
    known.
    """

    events: int
    processed: int
    dead: int
    waiting: int
    other: int
    queue: int | None
    dlq: int | None


@dataclass(frozen=True, slots=True)
class Incident:
    """What happened in a time.

    project, env: whose incident this is. since, until: ISO 8601. moments: in order of time. groups: of failures, the
    largest first. proof: what is left. read: failures that were read; more: whether there are others. logs: what was
    read of the logs; null where they could not be.
    unread: parts that could not be read. at: when this was read, ISO 8601.
    """

    project: str
    env: str
    since: str
    until: str
    moments: list[Moment]
    groups: list[IncidentGroup]
    proof: Proof
    read: int
    more: bool
    logs: ReadLogs | None
    unread: list[Unread]
    at: str


def read(
    aws: Aws,
    environment: Environment,
    outputs: Mapping[str, str],
    stores: Stores,
    *,
    since: int,
    until: int,
    now: int,
) -> Incident:
    """Read everything side by side. since, until: epoch ms. stores: the journals. Raises AwsError without records.

    A report until now has what AWS's clock, by which commands are recorded, calls later than this machine's does.
    """
    latest = until + _AHEAD_MS if until >= now else until
    names, table = environment.names, outputs[Output.TABLE]
    calls: dict[str, Callable[[], Any]] = {
        "records": partial(failures.read, aws, table, shards=environment.settings.index_shards, now=now),
        "logs": partial(logs_alone.read, aws, outputs, now=min(until, now), since=since, seconds=_LOGS_S),
        "alarms": partial(alarms.read, aws, names, since=since, limit=MOST_CHANGES),
        "history": partial(history.history, aws, environment, since=since, limit=MOST_ENTRIES),
        "repaired events": partial(repaired.read, aws, table, stores, (names.stack, aws.account), since=since),
        "queue": partial(motion.read, aws, outputs[Output.QUEUE_URL], names.queue, now=now),
        "dlq": partial(motion.read, aws, outputs[Output.DLQ_URL], names.dlq, now=now),
    }
    answers = pool.gather(calls)
    if isinstance(failure := answers["records"], Exception):
        raise failure
    unread = [Unread(part, _why(error)) for part, error in answers.items() if isinstance(error, Exception)]
    values = {part: answer for part, answer in answers.items() if not isinstance(answer, Exception)}
    found: failures.Read = values["records"]
    fixed: Repaired = values.get("repaired events", repaired.NONE)
    unread += [Unread("repaired events", why) for why in fixed.skipped]
    listed: history.History | None = values.get("history")
    from_logs: logs_alone.Read | None = values.get("logs")
    recorded = [*found.failures, *(each.failure for each in fixed.seen)]
    logged = [
        repaired.seen(changes.of_its_time(failure, listed.entries if listed is not None else ()))
        for failure in (logs_alone.alone(from_logs, recorded) if from_logs is not None else ())
        if failure.first <= latest and failure.last >= since
    ]
    seen = [*within(found.failures, fixed.seen, since, latest), *logged]
    ids = [id for id, _ in Counter(each.group for each in seen).most_common(MOST_GROUPS)]
    try:
        known = memory.read(aws, table, ids).by_group
    except RtpError as error:
        known = {}
        unread.append(Unread("notes", error.message))
    groups = [_group(id, [each for each in seen if each.group == id], known.get(id)) for id in ids]
    rung: Alarms | None = values.get("alarms")
    moments = [
        *(alarm_moments(rung, names.stack) if rung is not None else ()),
        *map(_command, listed.entries if listed is not None else ()),
        *(moment for group in groups for moment in _failures(group)),
    ]
    return Incident(
        project=environment.project,
        env=environment.name,
        since=times.iso(since),
        until=times.iso(until),
        moments=in_order(moments, since, latest),
        groups=groups,
        proof=_proof(seen, values.get("queue"), values.get("dlq")),
        read=len(found.failures) + len(fixed.seen),
        more=found.more or fixed.more or bool(listed and listed.more) or bool(rung and rung.more),
        logs=None if from_logs is None else ReadLogs(from_logs.lines, times.iso(from_logs.since), from_logs.more),
        unread=unread,
        at=times.iso(now),
    )


def within(dead: Iterable[failures.Failure], fixed: Iterable[Seen], since: int, until: int) -> list[Seen]:
    """The events that failed in this time, each once: what its record says now goes before what a journal says."""
    by_event = {(each.failure.id, each.failure.timestamp): each for each in fixed}
    by_event |= {(f.id, f.timestamp): repaired.seen(f) for f in dead}
    return [each for each in by_event.values() if each.failure.first <= until and each.failure.last >= since]


def in_order(moments: Iterable[Moment], since: int, until: int) -> list[Moment]:
    """Those of this time, the oldest first."""
    timed = [(times.parse_when(moment.at), moment) for moment in moments]
    return [moment for at, moment in sorted(timed, key=lambda pair: pair[0]) if since <= at <= until]


def alarm_moments(found: Alarms, stack: str) -> list[Moment]:
    """The changes by which alarms fired and ended."""
    moments = []
    for change in found.history:
        if "ALARM" not in (change.before, change.after):  # an alarm that got its first data
            continue
        name = change.alarm.removeprefix(f"{stack}-")
        reason = alarm_words.explained(name, change.reason)
        what = f"{name} {_STATES.get(change.after, change.after)}"
        moments.append(Moment(times.iso(times.ms(change.at)), "alarm", what, reason))
    return moments


def _command(entry: Entry) -> Moment:
    return Moment(
        at=entry.at,
        kind=kind(entry.command),
        what=entry.command,
        detail="; ".join(text for text in (entry.result, entry.reason) if text),
        outcome=entry.outcome,
        who=entry.identity or entry.user,
        run=entry.run,
        release=entry.release,
        group=str(entry.arguments.get("group", "")),
    )


def kind(command: str) -> Kind:
    """What a command of the history is in an incident."""
    if command in _RELEASES:
        return "release"
    if command in _REPAIRS:
        return "repair"
    return "triage" if command.startswith("triage") else "change"


def _failures(group: IncidentGroup) -> list[Moment]:
    """The first and the last failure of a group."""
    name = f"{group.error or 'error'} at {group.at}" if group.at else group.error or "error"
    counts = [f"{many(group.events, 'event')} of type {group.type or 'none'}"] if group.events else []
    counts += [f"{many(group.logged, 'error')} in the logs alone"] if group.logged else []
    of = ", ".join(counts)
    first = Moment(group.first, "failure", f"first {name}", of, release=group.release, group=group.id)
    if group.last == group.first:
        return [first]
    return [first, Moment(group.last, "failure", f"last {name}", group=group.id)]


def _group(id: str, same: Sequence[Seen], known: Memory | None) -> IncidentGroup:
    every = [each.failure for each in same]
    first, newest = min(every, key=lambda f: f.first), max(every, key=lambda f: f.last)
    statuses = Counter(failure.status for failure in every)
    return IncidentGroup(
        id=id,
        type=newest.kind,
        error=newest.cause.type,
        at=newest.cause.at,
        first=times.iso(first.first),
        last=times.iso(newest.last),
        release=first.releases[0] if first.releases else "",
        events=len(every) - statuses[failures.LOGGED],
        processed=statuses["processed"],
        dead=statuses["dead"],
        waiting=statuses["failed"] + statuses["processing"],
        logged=statuses[failures.LOGGED],
        said=known.said if known is not None else "",
        notes=list(known.notes) if known is not None else [],
    )


def _proof(seen: Sequence[Seen], queue: Motion | None, dlq: Motion | None) -> Proof:
    statuses = Counter(each.failure.status for each in seen if each.failure.status != failures.LOGGED)
    waiting = statuses["failed"] + statuses["processing"]
    events = statuses.total()
    return Proof(
        events=events,
        processed=statuses["processed"],
        dead=statuses["dead"],
        waiting=waiting,
        other=events - statuses["processed"] - statuses["dead"] - waiting,
        queue=None if queue is None else queue.depth,
        dlq=None if dlq is None else dlq.depth,
    )


def _why(error: Exception) -> str:
    if isinstance(error, RtpError):
        return error.message
    raise error  # a bug, which keeps its traceback
