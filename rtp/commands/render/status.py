"""Render a pipeline's status: problems first, then numbers, in few enough rows for a small terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws.states import StackState
from rtp.commands.render import dlq as render_dlq
from rtp.ops import releases
from rtp.ops.telemetry.statusparts import alarm_problem
from rtp.text import times
from rtp.text.elements import (
    Cell,
    Column,
    Element,
    Fields,
    Line,
    Style,
    Table,
    Text,
    advice,
    bad,
    dim,
    good,
    line,
    name,
    strong,
    warn,
)

if TYPE_CHECKING:
    from rtp.aws.alarms import Alarm
    from rtp.ops.telemetry.clearing import Clearing
    from rtp.ops.telemetry.status import Status
    from rtp.ops.telemetry.statusparts import ErrorCount, LastHour, Queue

_DEPLOY_MS = 20 * 60_000  # a deploy changes the functions within this time after its start
_GROUPS = 3  # errors of dead events that are shown; `rtp dlq inspect` shows all


def elements(status: Status, *, now: int) -> list[Element]:
    """The elements of the whole status."""
    rows: list[Element] = [_head(status), _deployed(status, now), *_code(status, now)]
    clearing = {alarm_problem(each.alarm, status.stack.name): each for each in status.clearing}
    for problem in status.problems:
        rows.append(line(bad("  ✗ "), advice(problem)))
        rows += [_clearing(each, now) for start, each in clearing.items() if problem.startswith(start)]
    rows.append("")
    rows.append(Fields([(label, name(url)) for label, url in status.endpoints.items()]))
    rows += ["", _queues(status)]
    rows += render_dlq.deadlines(status.deadlines, now=now)
    dead = status.dead_by_error
    rows += [line(dim("  dead in 14 days: "), f"{e.newest or e.error} ", dim(_similar(e))) for e in dead[:_GROUPS]]
    if len(dead) > _GROUPS:
        rows.append(line(dim(f"  other causes: {len(dead) - _GROUPS}; see "), advice("`rtp dlq inspect`")))
    if status.last_failure:
        at = times.parse_when(status.last_failure)
        rows.append(line(dim("  last failed attempt "), f"{times.ago(at, now=now)} ago", dim(f" ({times.stamp(at)})")))
    rows += ["", Fields(_numbers(status) + _alarms(status.alarms, f"{status.stack.name}-", now))]
    rows += [line(warn("not read: "), f"{u.part} ", dim(u.message)) for u in status.unread]
    return rows


def _similar(errors: ErrorCount) -> str:
    """How many died of an error, of which the newest is shown."""
    is_masked = errors.newest not in ("", errors.error) and errors.count > 1
    return f"({errors.count:,}{' with similar ones' if is_masked else ''})"


def _head(status: Status) -> Line:
    stack = status.stack
    fine = StackState.of(stack.state).succeeded
    how = good("healthy") if status.healthy else bad("not healthy")
    return line(strong(stack.name), "  ", how, "  ", Text(stack.state, Style.DIM if fine else Style.WARN))


def _deployed(status: Status, now: int) -> Line:
    stack = status.stack
    parts: list[Text | str] = []
    if stack.deployed:
        at, ended = times.parse_when(stack.deployed), _ended(StackState.of(stack.state))
        parts += [
            dim(f"{ended} "),
            times.stamp(at),
            dim(f" ({times.ago(at, now=now)} ago)"),
        ]
    if stack.deployed_by:
        parts += [dim(" by "), stack.deployed_by]
    if stack.version:
        parts += [dim(" with version "), stack.version, dim(" of rtp")]
    return line(*parts)


def _code(status: Status, now: int) -> list[Line]:
    """The release, when the functions were changed after the last deploy, and whether the folder has other code."""
    code, deployed = status.code, status.stack.deployed
    if code is None:
        return []
    parts: list[Text | str] = []
    if code.changed and (not deployed or times.parse_when(code.changed) > times.parse_when(deployed) + _DEPLOY_MS):
        at = times.parse_when(code.changed)
        text = f" ({times.ago(at, now=now)} ago) after the deploy, such as by a hotswap"
        parts += [dim("functions changed "), times.stamp(at), dim(text)]
    if code.release:
        parts = [dim("release "), releases.described(code.release), *([dim("; "), *parts] if parts else [])]
    if code.differs:
        other = f", which is {releases.described(code.local_release)}" if code.local_release else ""
        parts += [dim("; ") if parts else "", warn(f"the code differs from this folder{other}")]
    return [line(*parts)] if parts else []


def _clearing(clearing: Clearing, now: int) -> Line:
    """What an alarm that fires measures now, and when it will clear."""
    value = f"{clearing.value:,g} now"
    if clearing.clears is None:
        return line(value, dim(f"; clears once it is below {clearing.limit:,g}"), indent=4)
    at = times.parse_when(clearing.clears)
    return line(value, dim(f"; clears by {times.minute(at, now=now)} if nothing more happens"), indent=4)


def _ended(state: StackState) -> str:
    """How the last deploy ended; of a first one that failed nothing is deployed."""
    if state.never_worked and state.failed:
        return "failed"
    return "rolled back" if state.never_worked and state.rolled_back else "deployed"


def _queues(status: Status) -> Table:
    columns: list[Column | str] = [
        "QUEUE",
        *(Column(t, right=True) for t in ("DEPTH", "IN FLIGHT", "DELAYED", "OLDEST")),
    ]
    return Table(columns, [_queue(label, queue) for label, queue in status.queues.items()], empty="no queues")


def _queue(label: str, queue: Queue) -> list[Cell]:
    loud = label == "dlq" and queue.depth > 0
    oldest = "-" if queue.depth == 0 else "?" if queue.oldest_s is None else times.span(queue.oldest_s * 1000)
    depth = Text(f"{queue.depth:,}", Style.BAD if loud else Style.PLAIN)
    return [label, depth, f"{queue.in_flight:,}", f"{queue.delayed:,}", oldest]


def _numbers(status: Status) -> list[tuple[str, Cell]]:
    pairs: list[tuple[str, Cell]] = []
    if status.functions or status.event_sources:
        states = [f.state or "?" for f in status.functions]
        enabled = [s.state for s in status.event_sources] or ["missing"]
        fine = set(states) <= {"Active", "Inactive"} and enabled == ["Enabled"]
        text = f"{', '.join(dict.fromkeys(states))}; event source {', '.join(enabled)}"
        pairs.append(("functions", Text(text, Style.PLAIN if fine else Style.WARN)))
    if status.last_hour is not None:
        pairs += _hour(status.last_hour)
    if status.quota is not None:
        quota = status.quota
        pairs.append(("quota", f"{quota.left:,} of {quota.limit:,} requests left, per {quota.period.lower()}"))
    return pairs


def _hour(hour: LastHour) -> list[tuple[str, Cell]]:
    refused, failed = _count(hour.errors_4xx, "refused"), _count(hour.errors_5xx, "failed")
    took = "" if hour.p50_ms is None or hour.p95_ms is None else f", p50 {_ms(hour.p50_ms)}, p95 {_ms(hour.p95_ms)}"
    requests = line(f"{hour.requests:,}", dim(" ("), refused, ", ", failed, dim(")"), f"{took}")
    events = line(
        f"{hour.processed:,} processed, ",
        _count(hour.failed, "attempts failed"),
        ", ",
        _count(hour.rejected, "rejected"),
        ", ",
        _count(hour.dead, "dead"),
        f", {hour.duplicates:,} repeats",
        *((", ", _count(hour.conflicts, "conflicts")) if hour.conflicts else ()),
    )
    functions = line(_count(hour.function_errors, "errors"), ", ", _count(hour.throttles, "throttles"))
    return [("requests, 1h", requests), ("events, 1h", events), ("Lambda, 1h", functions)]


def _alarms(alarms: list[Alarm], prefix: str, now: int) -> list[tuple[str, Cell]]:
    firing = [a for a in alarms if a.state == "ALARM"]
    waiting = sum(a.state == "INSUFFICIENT_DATA" for a in alarms)
    muted = sum(a.muted for a in alarms)
    parts: list[Text | str] = []
    for alarm in firing:
        since = f" for {times.ago(times.ms(alarm.since), now=now)}" if alarm.since else ""
        parts += [bad(alarm.name.removeprefix(prefix)), dim(since), ", "]
    parts.append(f"{len(alarms) - len(firing) - waiting} OK")
    parts += [f", {waiting} without data"] if waiting else []
    parts += [", ", warn(f"{muted} muted")] if muted else []
    return [("alarms", line(*parts))]


def _count(count: int, what: str) -> Text:
    return Text(f"{count:,} {what}", Style.WARN if count else Style.PLAIN)


def _ms(value: float) -> str:
    return times.span(value)
