"""Render an incident as one self-contained HTML page, every text escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.commands.render import incident as render
from rtp.commands.render.html_page import document, section, stamp, table, text
from rtp.text import times

if TYPE_CHECKING:
    from rtp.ops.triage.incident import Incident, IncidentGroup, Moment

_KINDS = {"alarm": "warn", "failure": "bad", "repair": "good"}
_OUTCOMES = {"failed": "bad", "refused": "warn", "interrupted": "warn", "unfinished": "warn"}


def page(found: Incident) -> str:
    """Make the page."""
    left = found.proof
    style = "good" if left.processed == left.events else "bad"
    name = f"{found.project}-{found.env}"
    window = f"{render.stamp(found.since)} to {render.stamp(found.until)}"
    about = f'{text(window)} · <b class="{style}">{text(render.proof(found))}</b>'
    moments = table(("time", "kind", "what", "detail", "who"), map(_moment, found.moments))
    head = ("group", "type", "since release", "events", "now", "said", "cause")
    parts = [
        section("Timeline", moments) if found.moments else section("Timeline", "<p>Nothing happened.</p>"),
        section("Causes", table(head, map(_group, found.groups))) if found.groups else "",
        _notes(found),
        f"<p>Read: {text(render.sources(found))}.</p>",
        *(f'<p class="warn">not read: {text(gap.part)}: {text(gap.message)}</p>' for gap in found.unread),
        '<p class="warn">More exists than was read.</p>' if found.more else "",
    ]
    return document(f"incident of {name}", f"Incident of {name}", about, "\n".join(part for part in parts if part))


def _moment(moment: Moment) -> tuple[str, ...]:
    kind = "good" if moment.what.endswith("is OK again") else _KINDS.get(moment.kind, "dim")
    style = _OUTCOMES.get(moment.outcome)
    detail = text(render.about(moment))
    return (
        stamp(times.parse_when(moment.at)),
        f'<span class="{kind}">{text(moment.kind)}</span>',
        text(moment.what),
        f'<span class="{style}">{detail}</span>' if style else detail,
        text(render.who(moment.who)),
    )


def _group(group: IncidentGroup) -> tuple[str, ...]:
    counts = (
        (group.processed, "processed"),
        (group.dead, "dead"),
        (group.waiting, "waiting"),
        (group.logged, "in the logs alone"),
    )
    now = ", ".join(f"{number:,} {what}" for number, what in counts if number)
    cause = f"{group.error} at {group.at}" if group.at else group.error
    number = render.events(group.events)
    return tuple(map(text, (group.id, group.type, group.release, number, now, group.said, cause)))


def _notes(found: Incident) -> str:
    rows = [
        (stamp(note.at), text(group.id), text(render.who(note.by)), text(note.what), text(note.text))
        for group in found.groups
        for note in group.notes
    ]
    return section("Notes", table(("time", "group", "who", "what", "text"), rows)) if rows else ""
