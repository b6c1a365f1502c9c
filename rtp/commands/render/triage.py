"""Render what is wrong: alarms, changes, queues and groups of failures, with the command to run next. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.commands.render import dlq as render_dlq
from rtp.commands.render.headings import heading
from rtp.ops import releases
from rtp.text import suggest, times
from rtp.text.elements import (
    Cell,
    Column,
    Command,
    Element,
    Heading,
    Line,
    Style,
    Table,
    Text,
    bad,
    dim,
    good,
    line,
    many,
    name,
    next_step,
    strong,
    warn,
)

if TYPE_CHECKING:
    from rtp.ops.triage.actions import Done
    from rtp.ops.triage.changes import RecentChange
    from rtp.ops.triage.compare import Comparison
    from rtp.ops.triage.memory import Note
    from rtp.ops.triage.motion import Motion
    from rtp.ops.triage.report import FailureGroup, ReadLogs, Triage
    from rtp.ops.triage.suspects import Suspects

_WHOLE, _ROWS = 3, 10  # groups that are shown whole, and after them in one line each
_STATES = {"new": Style.BAD, "regressed": Style.BAD, "known": Style.WARN}
_OPEN = ("new", "regressed", "known")


def elements(found: Triage, *, now: int) -> list[Element]:
    """The screen of an incident."""
    rows: list[Element] = [_head(found, now), *_red(found, now), *_changes(found), *_queues(found, now)]
    whole = [group for group in found.groups if group.state in (*_OPEN, "acked")][:_WHOLE]
    for group in whole:
        rows += ["", *_group(group, now)]
    others = [group for group in found.groups if group not in whole]
    rest = others[:_ROWS]
    if rest:
        columns = (
            Column("GROUP", whole=True),
            Column("STATE", whole=True),
            Column("COUNT", right=True, whole=True),
            Column("TYPE", drop=1),
            Column("ERROR", long=True),
            Column("LAST", whole=True, drop=2),
        )
        cells = [(name(g.id), _state(g), g.count, g.type, g.newest.error, _ago(g.last, now)) for g in rest]
        rows += [Heading("Others"), Table(columns, cells)]
    left = len(others) - _ROWS
    if left > 0:
        rows.append(line(dim(f"and {left:,} more groups; --json has all")))
    rows += [line(warn("not read: "), f"{u.part} ", dim(u.message)) for u in found.unread]
    return [*rows, *_next(found)]


def one(group: FailureGroup, found: Triage, *, now: int) -> list[Element]:
    """One group in full."""
    about = _group(group, now) if group.count else _quiet(group, now)
    rows: list[Element] = [heading("triage", found.env, "1 group", _read(found, now)), "", *about]
    if group.comparison is not None:
        rows += _comparison(group.comparison)
    if group.suspects is not None:
        rows += _suspects(group.suspects)
    if group.notes:
        rows += [Heading("Notes"), *(_note(note, now) for note in group.notes)]
    rows.append("")
    if not group.count:
        reopened = suggest.command("rtp", "triage", "reopen", values=(group.id,))
        is_said = group.state in ("acked", "muted", "resolved")
        return [*rows, *next_step("next  ", reopened, "it is known again")] if is_said else rows[:-1]
    rows += _evidence(group)
    rows += _repairs(group, found)
    return [*rows, *next_step("      ", suggest.command("rtp", "triage", "resolve", values=(group.id,)))]


def said(done: Done) -> list[Element]:
    """What was said of a group, and when that ends."""
    ends = {
        "acked": "for as long as nobody says otherwise",
        "muted": "until failures come ten times as fast",
        "resolved": f"in release {releases.label(done.release)}: a failure of it or of a later one is a regression",
        "reopened": "and needs somebody again",
    }
    if done.what == "note":
        return [line(name(done.group), ": the note is kept")]
    text = ends[done.what]
    if done.what == "resolved" and not done.release:
        text = "in the release that runs now: a failure after this is a regression"
    if done.until is not None:
        text = f"until {times.minute(times.parse_when(done.until))}"
    if done.until_count is not None:
        text = f"for {done.until_count:,} more failure{'' if done.until_count == 1 else 's'}"
    if done.what == "muted" and (done.until is not None or done.until_count is not None):
        text += ", or until they come ten times as fast"
    return [line(name(done.group), f" is {done.what} ", dim(text))]


def _head(found: Triage, now: int) -> Line:
    if not found.groups and not found.red:
        text = good("nothing is red, and no event has failed")
        return line(strong(f"triage {found.env}"), ": ", text, dim(f", {_read(found, now)}"))
    groups = [group for group in found.groups if group.state in _OPEN]
    return heading("triage", found.env, many(len(groups), "open group"), _read(found, now))


def _read(found: Triage, now: int) -> str:
    """What the groups were made of."""
    if found.more:
        records = f"of the {found.read:,} newest failures (more exist)"
    else:
        records = f"of {many(found.read, 'failure')} in 14 days"
    messages = f", {many(found.messages, 'message')} of the DLQ without a record" if found.messages else ""
    return records + messages + ("" if found.logs is None else f" and {_lines(found.logs, now)}")


def _lines(logs: ReadLogs, now: int) -> str:
    if not logs.more:
        return f"{many(logs.lines, 'error line')} of the logs in 24h"
    since = times.minute(times.parse_when(logs.since), now=now)
    if not logs.lines:
        return f"no error line of the logs since {since} (older ones may exist)"
    return f"the {logs.lines:,} newest error lines of the logs (all since {since}, older ones may exist)"


def _red(found: Triage, now: int) -> list[Element]:
    rows: list[Element] = []
    for red in found.red:
        for_ = "" if red.since is None else f"for {_ago(red.since, now)}"
        rows.append(line(bad("✗ "), strong(red.alarm), f"  {for_}", dim(f"  {red.reason}")))
    return rows


def _changes(found: Triage) -> list[Element]:
    return [
        replace(line(dim("changed  " if n == 0 else "         "), *_change(change)), hang=9)
        for n, change in enumerate(found.changes)
    ]


def _change(change: RecentChange) -> list[Text | str]:
    parts: list[Text | str] = [times.recent(times.parse_when(change.at)), "  ", strong(change.command)]
    if change.outcome != "succeeded":
        parts.append(warn(f" {change.outcome}"))
    if change.release:
        parts.append(f"  release {releases.described(change.release)}")
    if change.who:
        parts.append(dim(f"  by {change.who.rpartition(':')[2].rpartition('/')[2] or change.who}"))
    return [*parts, dim(f"  {change.reason}" if change.reason else "")]


def _queues(found: Triage, now: int) -> list[Element]:
    names = ("queue", "dlq")
    rows: list[Element] = []
    for label, motion in zip(names, found.queues, strict=False):
        rows.append(line(dim(f"{label:<9}"), many(motion.depth, "message"), *_motion(motion)))
    return [*rows, *render_dlq.deadlines(found.deadlines, now=now)]


def _motion(motion: Motion) -> list[Text | str]:
    if motion.per_minute is None or (motion.per_minute <= 0 and motion.depth == 0):
        return []
    if motion.per_minute == 0:
        return [dim(", steady")]
    if motion.per_minute > 0:
        return [", ", warn(f"growing by {motion.per_minute:,g} a minute")]
    ends = "" if motion.empty_s is None else f", empty in {times.span(motion.empty_s * 1000)}"
    return [dim(f", draining by {-motion.per_minute:,g} a minute{ends}")]


def _group(group: FailureGroup, now: int) -> list[Element]:
    share = "" if group.share is None else f", {group.share * 100:.3g} % of the type's events in 24h"
    of_what = group.type or ("function" if group.logged == group.count else "no type")
    logged = f", {group.logged:,} in the logs alone" if group.logged else ""
    counts = f" ({group.dead:,} dead, {group.waiting:,} waiting{logged})"
    rows: list[Element] = [
        line(name(group.id), "  ", _state(group), "  ", strong(of_what), f"  {group.newest.error}"),
        line(many(group.count, "failure"), counts, dim(share), indent=2),
    ]
    since = f"since release {releases.label(group.release)}, " if group.release else ""
    trend = f"{group.last_1h:,} in 1h, {group.last_3h:,} in 3h, {group.last_24h:,} in 24h, {group.last_7d:,} in 7d"
    rows += [
        line(dim(f"{since}first {_at(group.first, now)}, last {_at(group.last, now)}"), indent=2),
        line(dim(trend), indent=2),
    ]
    if group.at:
        rows.append(line(group.at, indent=2))
    width = len(str(group.source[-1].number)) if group.source else 0
    for each in group.source:
        text = f"{each.number:>{width}}  {each.text}"
        rows.append(Line((bad(f"→ {text}") if each.fails else dim(f"  {text}"),), indent=2, cut=True))
    return rows


def _quiet(group: FailureGroup, now: int) -> list[Element]:
    """A group of which what was said is all that is left."""
    since = f"no failures since {_at(group.last, now)}" if group.last else "no failures"
    rows: list[Element] = [
        line(name(group.id), "  ", _state(group), "  ", strong(group.type), f"  {group.error}" if group.error else ""),
        line(good(since), dim(", as far as records and logs were read; this is what was said of it"), indent=2),
    ]
    return [*rows, line(group.at, indent=2)] if group.at else rows


def _comparison(found: Comparison) -> list[Element]:
    """What the dead have that the processed have not."""
    rows: list[list[Cell]] = [
        [trait.field, trait.value, f"{trait.dead:.0%}", f"{trait.processed:.0%}"] for trait in found.traits
    ]
    columns = (
        Column("FIELD", long=True),
        Column("VALUE", long=True),
        Column("FAILED", right=True, whole=True),
        Column("PROCESSED", right=True, whole=True),
    )
    title = f"What {many(found.dead, 'failed event')} have that {many(found.processed, 'processed event')} have not"
    elements: list[Element] = [Heading(title), Table(columns, rows, empty="nothing that is in their data")]
    if found.unique:
        elements.append(line(dim(f"skipped, since nearly all values differ: {', '.join(found.unique[:8])}")))
    return elements


def _suspects(found: Suspects) -> list[Element]:
    """The commits between two releases."""
    title = f"Commits between {found.good} and {found.bad}" if found.good else "Commits"
    rows: list[list[Cell]] = [
        [name(c.hash), times.recent(times.parse_when(c.at)) if c.at else "-", c.author, c.subject]
        for c in found.commits
    ]
    columns = (
        Column("COMMIT", whole=True),
        Column("AT", whole=True),
        Column("AUTHOR", drop=1),
        Column("SUBJECT", long=True),
    )
    elements: list[Element] = [Heading(title)]
    if rows or not found.notes:
        elements.append(Table(columns, rows, empty="none that touches the project's code or settings"))
    return [*elements, *(line(warn(note)) for note in found.notes)]


def _note(note: Note, now: int) -> Line:
    who = note.by.rpartition(":")[2].rpartition("/")[2] or note.by
    return line(dim(f"{times.minute(note.at, now=now)}  {who}  "), note.what, f"  {note.text}" if note.text else "")


def _next(found: Triage) -> list[Element]:
    group = next((g for g in found.groups if g.state in _OPEN), None)
    if group is None:
        return []
    rows: list[Element] = [""]
    rows += next_step("next  ", suggest.command("rtp", "triage", values=(group.id,)), "one cause in full")
    return rows + _repairs(group, found)


def _evidence(group: FailureGroup) -> list[Element]:
    """Where to look: the newest event, the records, and the lines of an error that only the logs have."""
    steps: list[tuple[Command | None, str]] = []
    if group.newest.id:
        steps.append((suggest.command("rtp", "show", values=(group.newest.id,)), "its newest event"))
    if group.newest.request_id:
        request = suggest.command("rtp", "logs", request_id=group.newest.request_id, since="1d")
        steps.append((request, "the lines of its newest invocation"))
    elif group.logged:
        steps.append((suggest.command("rtp", "logs", errors=True, since="1d"), "errors of the functions"))
    if group.dead or group.waiting:
        steps.append((suggest.command("rtp", "records", group=group.id, since="14d"), "its events"))
    return [row for n, (step, what) in enumerate(steps) for row in next_step("      " if n else "next  ", step, what)]


def _repairs(group: FailureGroup, found: Triage) -> list[Element]:
    """The ways out: back to the release before where this one brought the failures, or a correction and a redrive."""
    rows: list[Element] = []
    if found.release and group.releases == [found.release] and any(c.release for c in found.changes[1:]):
        rows += next_step("      ", suggest.command("rtp", "rollback"), "back to the release before")
    if group.dead:
        proof = suggest.command("rtp", "rehearse", group=group.id)
        rows += next_step("      ", proof, "run its events in the code of this folder; nothing is stored or sent")
        repair = suggest.command("rtp", "dlq", "redrive", group=group.id, wait=True)
        rows += next_step("      ", repair, "once the correction is deployed; one message first")
    return rows


def _state(group: FailureGroup) -> Text:
    return Text(group.state, _STATES.get(group.state, Style.DIM))


def _at(iso: str, now: int) -> str:
    return times.minute(times.parse_when(iso), now=now)


def _ago(iso: str, now: int) -> str:
    return times.ago(times.parse_when(iso), now=now)
