"""How the dead-letter queue and its repair look to people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

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
    from rtp.ops.dlq.inspect import Inspection
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.purge import Purged
    from rtp.ops.dlq.repair import Repair
    from rtp.ops.dlq.undo import Undone

_ROWS = 20
_BODY_CHARACTERS = 4000
_REASONS = 5


def inspection(found: Inspection) -> list[Element]:
    """Causes first, then the messages; one alone is shown whole."""
    if not found.messages:
        said = "is empty" if not found.depth else f"has about {found.depth:,} dead, none of which match"
        return [line(name(found.queue), f" {said}")]
    oldest = times.ago(min(dlq_message.message.sent_at for dlq_message in found.messages))
    part = f"{len(found.messages):,} of " if len(found.messages) != found.depth else ""
    counted = f"{part}about {many(found.depth, 'message')}, the oldest from {oldest} ago"
    elements: list[Element] = [line(name(found.queue), f"  {counted}")]
    if len(found.messages) == 1:
        return elements + _whole(found.messages[0])
    elements.append(Heading("Why"))
    elements.append(
        Table((Column("COUNT", right=True), Column("ERROR", fold=True)), [(g.count, g.error) for g in found.groups])
    )
    elements.append(Heading("Messages"))
    elements.append(dlq_messages(found.messages[:_ROWS]))
    if len(found.messages) > _ROWS:
        elements.append(
            dim(f"and {len(found.messages) - _ROWS:,} more: narrow with --error, --type or --id, or use --json")
        )
    return elements


def dlq_messages(some: list[DlqMessage]) -> Table:
    """Messages, a row each."""
    rows = [
        (name(m.id), m.type, m.attempts or None, times.ago(m.message.sent_at), cause(json_values.plain(m.error)))
        for m in some
    ]
    return Table(
        (
            "ID",
            "TYPE",
            Column("ATTEMPTS", right=True, optional=True),
            Column("AGE", right=True),
            Column("ERROR", fold=True),
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
                ("error", Text(cause(json_values.plain(dlq_message.error)), Style.BAD)),
                ("attempts", dlq_message.attempts or None),
                (
                    "first seen",
                    f"{times.stamp(dlq_message.message.sent_at)} ({times.ago(dlq_message.message.sent_at)} ago)",
                ),
                ("trace", dlq_message.trace_id or None),
                ("message", dlq_message.message_id),
            ]
        ),
        Heading("Body"),
        Block(body[:_BODY_CHARACTERS] + ("\n…" if cut else ""), indent=2),
        *next_step("next  ", suggest.command("rtp", "show", values=(dlq_message.id,)), "its whole story"),
    ]


def repair(done: Repair) -> list[Element]:
    """What went, what did not and why."""
    if done.dry_run:
        return _dry(done)
    elements: list[Element] = []
    if done.canary and done.canary["status"] != "processed":
        elements.append(line(bad("stopped: "), name(str(done.canary["id"])), f" {done.stopped or 'interrupted'}"))
        elements.append(line("the rest, if there is any, was left in the dead-letter queue", indent=2))
    elif not done.redriven and not done.failed:
        return _missing(done.missing) or [line("no message to put back")]
    else:
        elements.append(line(good(f"{done.redriven:,} put back"), f" {_types(done)}"))
    if done.outcomes and not done.stopped:
        told = "  ".join(f"{n:,} {'dead again' if s == 'dead' else s}" for s, n in sorted(done.outcomes.items()))
        elements.append(line("since then: ", told, warn(f"  {done.pending:,} not yet") if done.pending else ""))
    elements += _reasons(done) + _missing(done.missing)
    if done.kept:
        elements.append(
            line(warn(f"{done.kept} are still in the DLQ too; "), "the next redrive takes them, and none runs twice")
        )
    if done.died_again:
        elements.append(line(warn(f"{done.died_again} are in the DLQ again already; "), "one pass moves each once"))
    if done.redriven > len(done.dead):
        elements.append(
            line(dim(f"run {done.run}; "), advice("`rtp dlq undo`"), dim(" takes back what is still waiting"))
        )
    return elements


def _dry(done: Repair) -> list[Element]:
    if not done.messages:
        return _missing(done.missing) or [line("no message would go back")]
    rows = [(name(m.id), m.type, m.message_id) for m in done.messages[:_ROWS]]
    elements: list[Element] = [line(f"{len(done.messages):,} would go back"), Table(("ID", "TYPE", "MESSAGE"), rows)]
    if len(done.messages) > _ROWS:
        elements.append(dim(f"and {len(done.messages) - _ROWS:,} more"))
    return elements + _missing(done.missing)


def _missing(ids: list[str]) -> list[Element]:
    elements: list[Element] = [line(bad(asked), " is not in the dead-letter queue") for asked in ids[:_ROWS]]
    return [*elements, dim(f"and {len(ids) - _ROWS:,} more")] if len(ids) > _ROWS else elements


def _types(done: Repair) -> str:
    counted = Counter(m.type or "?" for m in done.messages).most_common(_REASONS)
    return "(" + ", ".join(f"{n:,} {kind}" for kind, n in counted) + ")" if counted else ""


def _reasons(done: Repair) -> list[Element]:
    counted: Counter[str] = Counter()
    example: dict[str, str] = {}
    for failed in done.failed:
        counted[f"not put back: {failed['error']}"] += 1
        example.setdefault(f"not put back: {failed['error']}", failed["id"])
    for record in done.dead if not done.stopped else ():
        reason = "dead again: " + cause(record.get("error"))
        counted[reason] += 1
        example.setdefault(reason, str(record["id"]))
    return [
        line(bad(f"{n:,} × "), reason, dim(f"  such as {example[reason]}"), indent=2)
        for reason, n in counted.most_common(_REASONS)
    ]


def purged(done: Purged) -> list[Element]:
    """What was deleted and where its backup is."""
    if not done.deleted:
        return _missing(done.missing) or [line("nothing was deleted")]
    return [
        *_missing(done.missing),
        line(good(f"{done.deleted:,} deleted"), warn(f", {done.kept} kept by SQS") if done.kept else ""),
        line(dim("backup "), done.backup, advice("; `rtp dlq undo` puts them back"), indent=2),
    ]


def undone(done: Undone) -> list[Element]:
    """What became of a run's messages."""
    parts = [
        (done.processed, "processed meanwhile, and stay"),
        (done.dead, "dead again, and back by themselves"),
        (done.elsewhere, "being processed now, or back already"),
    ]
    elements: list[Element] = [line(good(f"{done.back:,} back in the dead-letter queue"), dim(f"  {done.run}"))]
    return elements + [line(f"{n:,} {what}", indent=2) for n, what in parts if n]
