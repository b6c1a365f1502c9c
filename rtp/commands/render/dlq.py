"""Render DLQ messages and what redrive, purge and undo did."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rtp.commands.render.headings import heading
from rtp.ops import releases
from rtp.text import json_values, suggest, times
from rtp.text.elements import (
    Block,
    Column,
    Element,
    Fields,
    Heading,
    Style,
    Table,
    Text,
    advice,
    bad,
    cause,
    dim,
    good,
    line,
    many,
    name,
    next_step,
    warn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.dlq.deadlines import Deadlines
    from rtp.ops.dlq.inspect import Group, Inspection
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.purge import Deleted, Purged
    from rtp.ops.dlq.redrive import Report, Step
    from rtp.ops.dlq.undo import Undone
    from rtp.text.elements import Line

_ROWS = 20
_BODY_CHARACTERS = 4000
_REASONS = 5


def read(count: int) -> Line:
    """Progress of an inspection: the number of messages read."""
    return line(dim(f"{count:,} read"))


def redrive_step(step: Step) -> Line:
    """Progress of a redrive."""
    from rtp.ops.dlq.redrive import Redriven

    if isinstance(step, Redriven):
        return line(f"{step.count:,} redriven")
    record = step.record
    attempt = record.get("attempt_count", 0)
    status = "waits for its next attempt" if step.is_before else f"{record['status']}, attempt {attempt}"
    if not record.get("error"):
        return line(dim(f"{record['id']}: {status}"))
    if step.is_error_old:
        earlier = f"  error before: {cause(record['error'])}"
        return line(f"{record['id']}: {status}", dim(earlier))
    return line(dim(f"{record['id']}: {status}"), f"  {cause(record['error'])}")


def purge_step(step: Deleted) -> Line:
    """Progress of a purge."""
    return line(f"{step.count:,} deleted")


def inspection(result: Inspection, env: str = "", filters: Sequence[str] = ()) -> list[Element]:
    """Counts by cause with the newest message of each, then the messages; a single message with its body.

    filters: as the first line shows them.
    """
    messages = result.messages
    if not messages:
        state = f"has about {many(result.depth, 'message')}, " if result.depth else "is empty"
        if result.depth:
            state += "none of which match" if result.depth > result.unseen else "none of which could be received"
        shown_filters = dim(f"  ({', '.join(filters)})" if filters else "")
        return [line(name(result.queue), f" {state}", shown_filters), *_unseen(result.unseen)]
    oldest = times.ago(min(dlq_message.accepted_at for dlq_message in messages))
    part = f"{len(messages):,} of " if len(messages) != result.depth else ""
    shown = f"{part}about {many(result.depth, 'message')}"
    elements: list[Element] = [heading("dlq", env, shown, filters, f"the oldest from {oldest} ago")]
    elements += deadlines(result.deadlines)
    elements += _unseen(result.unseen)
    if len(messages) == 1:
        return elements + _whole(messages[0])
    elements += [Heading("Why"), causes(result.groups)]
    elements += [Heading("Messages"), dlq_messages(messages[:_ROWS])]
    if len(messages) > _ROWS:
        elements.append(dim(f"and {len(messages) - _ROWS:,} more: narrow with --error, --type or --id, or use --json"))
    if len({message.id for message in messages}) == 1:  # SQS may deliver one message as two
        elements += _next(messages[0])
    return elements


def causes(groups: Sequence[Group]) -> Table:
    """A row per cause; beside one whose values are masked stands the newest message with them."""
    rows = [
        (group.count, group.error, dim("" if group.newest == group.error else group.newest.removeprefix(_type(group))))
        for group in groups
    ]
    columns = [Column("COUNT", right=True), Column("ERROR", long=True, drop=1)]
    if any(group.newest != group.error for group in groups):
        return Table([*columns, Column("NEWEST", long=True)], rows)
    return Table(columns, [row[:2] for row in rows])


def _type(group: Group) -> str:
    """The type of a group's error with its colon, which both of its texts begin with."""
    kind, colon, _ = group.error.partition(": ")
    return kind + colon


def deadlines(first: Deadlines | None, *, now: int | None = None) -> list[Element]:
    """When AWS deletes the first message and the first raw event; the limit that comes first stands first."""
    if first is None or first.first is None:
        return []
    now = times.now_ms() if now is None else now
    parts = [
        (
            times.parse_when(at),
            f"{what} in {times.span(max(0, times.parse_when(at) - now))} ({times.stamp(times.parse_when(at))})",
        )
        for at, what in ((first.message, "the first message"), (first.raw, "the first raw event"))
        if at is not None
    ]
    return [line(dim("expires  "), ", ".join(text for _, text in sorted(parts)), indent=2)]


def dlq_messages(messages: list[DlqMessage]) -> Table:
    """A row per message."""
    rows = [
        (
            name(m.id),
            m.type,
            m.attempts or None,
            times.ago(m.accepted_at),
            cause(json_values.to_json_types(m.error)),
        )
        for m in messages
    ]
    return Table(
        (
            Column("ID", tail=True),
            Column("TYPE", drop=2),
            Column("ATTEMPTS", right=True, drop=1),
            Column("AGE", right=True),
            Column("ERROR", long=True),
        ),
        rows,
    )


def _whole(dlq_message: DlqMessage) -> list[Element]:
    try:
        body = json_values.dumps(json_values.loads(dlq_message.body), indent=2)
    except (ValueError, RecursionError):
        body = dlq_message.body
    cut = len(body) > _BODY_CHARACTERS
    return [
        Fields(
            [
                ("id", name(dlq_message.id)),
                ("type", dlq_message.type or None),
                ("error", Text(cause(json_values.to_json_types(dlq_message.error)), Style.BAD)),
                ("attempts", dlq_message.attempts or None),
                (
                    "first seen",
                    f"{times.stamp(dlq_message.accepted_at)} ({times.ago(dlq_message.accepted_at)} ago)",
                ),
                ("release", releases.described(dlq_message.release) or None),
                ("trace", dlq_message.trace_id or None),
                ("message", dlq_message.message_id),
            ]
        ),
        Heading("Body"),
        Block(body[:_BODY_CHARACTERS] + ("\n…" if cut else ""), indent=2),
        *_next(dlq_message),
    ]


def _next(dlq_message: DlqMessage) -> list[Element]:
    return next_step("next  ", suggest.command("rtp", "show", values=(dlq_message.id,)), "record, logs and trace")


def redrive(report: Report, *, continues: bool = False) -> list[Element]:
    """What was redriven, what was not and why, and the outcomes. continues: whether it was cut and can be continued."""
    if report.dry_run:
        return _dry_run(report)
    elements: list[Element] = []
    if report.stopped_by:
        elements.append(line(warn(f"stopped by {report.stopped_by}"), "; the rest is in the dead-letter queue"))
    if report.canary and report.canary.status != "processed":
        elements.append(line(bad("stopped: "), name(report.canary.id), f" {report.stopped or 'interrupted'}"))
        elements.append(line("any other messages were left in the dead-letter queue", indent=2))
    elif not report.redriven and not report.failed:
        return [*(_missing(report.missing, report.unseen) or [line("no messages to redrive")]), *_unseen(report.unseen)]
    else:
        elements.append(line(good(f"{report.redriven:,} redriven"), f" {_types(report)}"))
    if report.outcomes and not report.stopped:
        counts = "  ".join(_ended(report, status, n) for status, n in sorted(report.outcomes.items()))
        pending = warn(f"  {report.pending:,} pending") if report.pending else ""
        elements.append(line("outcomes: ", counts, pending))
    elements += _reasons(report) + _missing(report.missing, report.unseen) + _unseen(report.unseen)
    if report.kept:
        warning = warn(f"{report.kept:,} were sent but not deleted from the DLQ; ")
        elements.append(line(warning, "the next redrive sends them again, and no event runs twice"))
    if report.left_out:
        names = ", ".join(dict.fromkeys(attribute for one in report.left_out for attribute in one.attributes))
        lost = warn(f"{many(len(report.left_out), 'message')} without all attributes: ")
        elements.append(
            line(lost, f"SQS takes ten, and had no room for {names}; ", advice("`rtp dlq undo` restores them"))
        )
    if report.died_again:
        returned = warn(f"{report.died_again:,} are back in the DLQ; ")
        elements.append(line(returned, "a redrive moves each message once"))
    if report.redriven > len(report.dead):
        undo = advice("`rtp dlq undo`")
        elements.append(line(dim(f"run {report.run}; "), undo, dim(" restores the messages that still wait")))
    if continues and report.run:
        again = suggest.command("rtp", "dlq", "redrive", run=report.run, wait=True)
        elements += next_step("next  ", again, "the rest of this run; no message is sent twice")
    return elements


def _ended(report: Report, status: str, count: int) -> str:
    """How many events ended with a status, the dead ones by whether their cause is still the same."""
    if status != "dead":
        return f"{count:,} {status}"
    other = report.dead_of_another_cause
    same = [f"{count - other:,} dead again"] if count > other else []
    return "  ".join([*same, *([f"{other:,} dead of another cause"] if other else [])])


def _dry_run(report: Report) -> list[Element]:
    if not report.messages:
        nothing = _missing(report.missing, report.unseen) or [line("no messages would be redriven")]
        return [*nothing, *_unseen(report.unseen)]
    rows = [(name(m.id), m.type, m.message_id) for m in report.messages[:_ROWS]]
    count = f"{many(len(report.messages), 'message')} would be redriven"
    elements: list[Element] = [line(count), Table((Column("ID", tail=True), "TYPE", Column("MESSAGE", drop=1)), rows)]
    if len(report.messages) > _ROWS:
        elements.append(dim(f"and {len(report.messages) - _ROWS:,} more"))
    return elements + _missing(report.missing, report.unseen) + _unseen(report.unseen)


def _unseen(count: int) -> list[Element]:
    """What could not be received, and what to do about it."""
    if not count:
        return []
    hidden = f"{many(count, 'message')} could not be received: hidden by another receiver, such as a command that was "
    return [
        line(warn("not seen: "), hidden + "killed or the console, or more than SQS gives out at once (120,000)"),
        line(advice("repeat the command in a few minutes"), indent=2),
    ]


def _missing(ids: list[str], unseen: int) -> list[Element]:
    where = "was not seen in" if unseen else "is not in"
    elements: list[Element] = [line(bad(event_id), f" {where} the dead-letter queue") for event_id in ids[:_ROWS]]
    return [*elements, dim(f"and {len(ids) - _ROWS:,} more")] if len(ids) > _ROWS else elements


def _types(report: Report) -> str:
    counts = Counter(m.type or "?" for m in report.messages).most_common(_REASONS)
    return "(" + ", ".join(f"{n:,} {event_type}" for event_type, n in counts) + ")" if counts else ""


def _reasons(report: Report) -> list[Element]:
    """The most frequent errors, each with the id of one event."""
    ids: dict[str, list[str]] = {}
    for failure in report.failed:
        ids.setdefault(f"not redriven: {failure.error}", []).append(failure.id)
    for record in report.dead if not report.stopped else ():
        ids.setdefault(f"dead again: {cause(record.get('error'))}", []).append(str(record["id"]))
    return [
        line(bad(f"{len(some):,} × "), reason, dim(f"  such as {some[0]}"), indent=2)
        for reason, some in sorted(ids.items(), key=lambda item: -len(item[1]))[:_REASONS]
    ]


def purged(result: Purged) -> list[Element]:
    """What was deleted, and the backup."""
    not_deleted = warn(f", {result.kept:,} not deleted by SQS") if result.kept else ""
    if not result.deleted:
        nothing = _missing(result.missing, result.unseen) or [line("no messages were deleted", not_deleted)]
        return [*nothing, *_unseen(result.unseen)]
    by = [line(warn(f"stopped by {result.stopped_by}"), "; the rest was left")] if result.stopped_by else []
    return [
        *by,
        *_missing(result.missing, result.unseen),
        line(good(f"{result.deleted:,} deleted"), not_deleted),
        *_unseen(result.unseen),
        line(dim("backup "), result.backup, advice("; `rtp dlq undo` restores the messages"), indent=2),
    ]


def undone(result: Undone) -> list[Element]:
    """What became of a run's messages."""
    parts = [
        (result.processed, "processed meanwhile, not restored"),
        (result.dead, "dead again, in the dead-letter queue already"),
        (result.earlier, "restored earlier"),
        (
            result.unseen,
            "not found: hidden by another receiver or being processed; repeat the command in a few minutes",
        ),
    ]
    first = line(good(f"{result.back:,} restored to the dead-letter queue"), dim(f"  {result.run}"))
    return [first, *(line(f"{n:,} {what}", indent=2) for n, what in parts if n)]
