"""Render an incident as Markdown, which a terminal shows laid out. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rtp.ops import releases
from rtp.text import times
from rtp.text.sanitize import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rtp.ops.triage.incident import Incident, IncidentGroup, Moment

# An address becomes a link without any mark, and `&#x202e;` the character that is not to be shown.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&]|:(?=//)|(?<=www)\.)", re.IGNORECASE)


def markdown(found: Incident) -> str:
    """The whole report."""
    parts = [
        f"# Incident of {text(found.project)}-{text(found.env)}",
        f"{stamp(found.since)} to {stamp(found.until)} UTC. {proof(found)}",
        "## Timeline",
        _timeline(found.moments),
        "## Causes",
        _groups(found.groups),
    ]
    notes = [(group, note) for group in found.groups for note in group.notes]
    if notes:
        parts += ["## Notes"]
        parts.append(
            "\n".join(
                f"- {stamp(times.iso(n.at))} {text(who(n.by))}, {text(g.id)}: {text(n.what)} {text(n.text)}".rstrip()
                for g, n in notes
            )
        )
    parts += [f"Read: {sources(found)}."]
    parts += [f"Not read: {text(gap.part)}: {text(gap.message)}" for gap in found.unread]
    if found.more:
        parts.append("More exists than was read: narrow --since and --until.")
    return "\n\n".join(parts) + "\n"


def proof(found: Incident) -> str:
    """What is left, in one sentence."""
    left = found.proof
    if not left.events:
        state = "No event failed in this time"
    elif left.processed == left.events:
        state = f"{events(left.events)} failed; all are processed now"
    else:
        numbers = ((left.dead, "dead"), (left.waiting, "waiting for another attempt"), (left.other, "not known"))
        rest = "".join(f", {n:,} {what}" for n, what in numbers if n)
        state = f"{events(left.events)} failed; now {left.processed:,} processed{rest}"
    counts = (("queue", left.queue), ("dead-letter queue", left.dlq))
    depths = [f"the {name} has {n:,} message{'' if n == 1 else 's'}" for name, n in counts if n]
    logged = sum(group.logged for group in found.groups)
    errors = [f"{logged:,} error{'' if logged == 1 else 's'} in the logs alone"] if logged else []
    return f"{'; '.join([state, *errors, *depths])}."


def sources(found: Incident) -> str:
    """How much the report was made of."""
    logs, read = found.logs, f"{found.read:,} failure{'' if found.read == 1 else 's'} of records and journals"
    if logs is None:
        return read
    if not logs.more:
        return f"{read}, {logs.lines:,} error line{'' if logs.lines == 1 else 's'} of the logs"
    since = f"since {stamp(logs.since)}, older ones may exist"
    return f"{read}, the {logs.lines:,} newest error lines of the logs ({since})"


def events(number: int) -> str:
    """The number of events."""
    return f"{number:,} event{'' if number == 1 else 's'}"


def who(identity: str) -> str:
    """The last part of an AWS identity: a user's name, or role and session."""
    resource = identity.rpartition(":")[2]
    return resource.partition("/")[2] or resource


def about(moment: Moment) -> str:
    """The details of a moment: outcome of a command, release, group, and what it says itself."""
    parts = [
        moment.outcome if moment.outcome != "succeeded" else "",
        f"release {releases.label(moment.release)}" if moment.release else "",
        f"group {moment.group}" if moment.group else "",
        moment.detail,
    ]
    return "; ".join(part for part in parts if part)


def stamp(iso: str) -> str:
    """A time as `2026-01-31 12:00:00`; the report is passed on, so that it is UTC."""
    return iso[:19].replace("T", " ")


def text(plain: str) -> str:
    """Text that others wrote, without meaning to Markdown."""
    return _SPECIAL.sub(r"\\\1", printable(" ".join(plain.split())))


def _timeline(moments: Sequence[Moment]) -> str:
    rows = ((stamp(m.at), m.kind, m.what, about(m), who(m.who)) for m in moments)
    return _table(("time, UTC", "kind", "what", "detail", "who"), rows) if moments else "Nothing happened."


def _groups(groups: Sequence[IncidentGroup]) -> str:
    rows = (
        (
            g.id,
            g.type,
            f"{g.error} at {g.at}" if g.at else g.error,
            g.release,
            f"{g.events:,}",
            f"{g.processed:,}",
            f"{g.dead:,}",
            f"{g.waiting:,}",
            f"{g.logged:,}",
            g.said,
        )
        for g in groups
    )
    head = (
        "group",
        "type",
        "cause",
        "since release",
        "events",
        "processed",
        "dead",
        "waiting",
        "logged",
        "said",
    )
    return _table(head, rows) if groups else "No failures."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. rows: texts that others wrote."""
    lines = [head, ["---"] * len(head), *(map(text, row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
