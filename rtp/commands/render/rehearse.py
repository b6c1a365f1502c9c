"""Render what a rehearsal found."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rtp.commands.render.headings import heading, window
from rtp.text import json_values, suggest
from rtp.text.elements import (
    Column,
    Heading,
    Line,
    Style,
    Table,
    Text,
    dim,
    line,
    many,
    name,
    next_step,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.rehearse.report import Difference, FailingGroup, Rehearsal
    from rtp.text.elements import Element

_ROWS = 10
_VALUE = 120  # characters of a value or a path in a difference
_OPTIONS = {"network": "--allow-network", "secret": "--with-secrets", "variable": "--with-variables"}
_STYLES = {"newly-failing": Style.BAD, "still-dead": Style.BAD, "not-rehearsed": Style.WARN}
_NETWORK = {
    "none": "network refused by a namespace and by Python's audit hook",
    "refused": "network refused by Python's audit hook alone: this system gives no network namespace",
    "allowed": "network allowed",
}


def rehearsal(result: Rehearsal, env: str = "", filters: Sequence[str] = (), root: str = "") -> list[Element]:
    """Counts, then the first event of each kind. root: the project's folder, which a traceback then does not repeat."""
    shown = f"the newest {result.events:,}, more exist" if result.more else f"{result.events:,}"
    elements: list[Element] = [heading("rehearsal", env, shown, filters)]
    if not result.events and not result.skipped:
        return [*elements, line("no such event, so nothing was run", indent=2), *_unseen(result)]
    elements.append(_counts(result))
    elements += [dim(f"  {many(count, 'event')} skipped: {why}") for why, count in result.skipped.items()]
    if result.messages:
        text = f"{many(result.messages, 'event')} of messages in the dead-letter queue that have no record"
        elements.append(line(dim(text), indent=2))
    if result.no_events:
        elements.append(line(dim("messages that are no events: "), ", ".join(result.no_events), indent=2))
    elements += _unseen(result)
    if result.missing:
        more = f" and {len(result.missing) - _ROWS:,} more" if len(result.missing) > _ROWS else ""
        elements.append(line(Text("not found: ", Style.WARN), f"{', '.join(result.missing[:_ROWS])}{more}", indent=2))
    if result.interrupted:
        elements.append(line("interrupted: the rest was not run", indent=2))
    elements += _failing(result.failing, root)
    elements += _differing(result.differing)
    if result.processed:
        rows = [(each.count, each.type, name(each.id), _short(each.result)) for each in result.processed[:_ROWS]]
        columns = (Column("COUNT", right=True), "TYPE", Column("FIRST", tail=True), Column("RESULT", long=True))
        elements += [Heading("Now processed"), Table(columns, rows)]
    elements += _tried(result)
    if result.emitted:
        emitted = ", ".join(f"{count:,} {kind}" for kind, count in result.emitted.items())
        elements.append(line(dim("would emit  "), emitted))
    elements.append(dim(f"nothing was stored, sent or emitted; {_NETWORK[result.network]}"))
    return elements + _next(result)


def filters(request: Any) -> list[str]:
    """The filters of a request as the first line shows them."""
    others = request.filters
    texts = [*request.statuses, f"type {request.kind}" if request.kind else "", *request.ids[:3]]
    texts += [f"error {others.error!r}"] if others.error is not None else []
    texts += [f"group {others.group}"] if others.group is not None else []
    texts += [f"release {others.release}"] if others.release is not None else []
    texts = texts if any(texts) else ["dead"]
    return [*texts, window(request.since, request.until)] if request.since else texts


def _unseen(result: Rehearsal) -> list[Element]:
    if not result.unseen:
        return []
    hidden = f"{many(result.unseen, 'message')} of the dead-letter queue could not be read"
    return [line(Text(hidden, Style.WARN), dim(", since another receiver hides them"), indent=2)]


def _counts(result: Rehearsal) -> Element:
    counts = (
        (result.now_processed, "now processed", Style.GOOD),
        (result.same_result, "same result", Style.GOOD),
        (result.other_result, "other result", Style.WARN),
        (result.newly_failing, "newly failing", Style.BAD),
        (result.still_dead, "still dead", Style.BAD),
        (result.not_rehearsed, "not rehearsed", Style.WARN),
    )
    parts: list[Text | str] = []
    for count, what, style in counts:
        if count:
            parts += [", " if parts else "", Text(f"{count:,} {what}", style)]
    ends = [f"{result.timed_out:,} timed out"] if result.timed_out else []
    ends += [f"{result.ended:,} ended the interpreter"] if result.ended else []
    return line(*parts, dim(f"  ({', '.join(ends)})" if ends else ""), indent=2)


def _failing(groups: list[FailingGroup], root: str) -> list[Element]:
    if not groups:
        return []
    rows = [
        (
            group.count,
            Text(group.outcome, _STYLES.get(group.outcome, Style.PLAIN)),
            group.type,
            name(group.group),
            "" if group.is_known or group.outcome != "still-dead" else "other cause",
            f"{group.error} at {group.at}" if group.at else group.error,
            name(group.id),
        )
        for group in groups[:_ROWS]
    ]
    columns = (
        Column("COUNT", right=True),
        Column("OUTCOME", whole=True),
        Column("TYPE", drop=3),
        Column("GROUP", whole=True, drop=2),
        Column("CAUSE", drop=4),
        Column("ERROR", long=True),
        Column("FIRST", tail=True, drop=1),
    )
    elements: list[Element] = [Heading("Failing"), Table(columns, rows)]
    if len(groups) > _ROWS:
        elements.append(dim(f"and {len(groups) - _ROWS:,} more groups: use --json"))
    if len(groups) == 1 and groups[0].stack:
        elements += _stack(groups[0].stack, root)
    return elements


def _stack(stack: str, root: str) -> list[Element]:
    """The rows of a traceback. On a narrow terminal those of code are cut, and the others wrap at words."""
    rows = (stack.replace(f"{root}{os.sep}", "") if root else stack).split("\n")
    return [Line((dim(row),), indent=2, cut=row.startswith("    ")) for row in rows if row.strip()]


def _differing(differences: list[Difference]) -> list[Element]:
    elements: list[Element] = [Heading("Other result")] if differences else []
    for each in differences[:_ROWS]:
        elements.append(line(f"{each.count:,} × {each.type}  ", dim("first "), name(each.id), indent=2))
        for change in each.changes[:_ROWS]:
            before, after = _short(change.before), _short(change.after)
            text = {"added": f"+ {after}", "removed": f"- {before}"}.get(change.change, f"{before} → {after}")
            elements.append(line(Text(_cut(change.path), Style.STRONG), f"  {text}", indent=4))
    return elements


def _tried(result: Rehearsal) -> list[Element]:
    if not result.tried:
        return []
    rows = [
        (each.count or "import", each.kind, each.what, name(each.id), dim(_OPTIONS.get(each.kind, "")))
        for each in result.tried[:_ROWS]
    ]
    columns = (
        Column("EVENTS", right=True),
        "REFUSED",
        Column("WHAT", long=True),
        Column("FIRST", tail=True, drop=1),
        Column("ALLOWED BY", drop=2),
    )
    return [Heading("Refused"), Table(columns, rows)]


def _next(result: Rehearsal) -> list[Element]:
    if not result.is_good or not result.events:
        return []
    return next_step("next  ", suggest.literal("rtp deploy")) if result.now_processed else []


def _short(value: Any) -> str:
    return _cut(json_values.dumps(value))


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"
