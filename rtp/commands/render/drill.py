"""Render a drill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.commands.render.headings import heading
from rtp.text.elements import Column, Element, Heading, Line, Table, advice, bad, dim, good, line, many, warn

if TYPE_CHECKING:
    from rtp.ops.drill.leftovers import CleanedUp
    from rtp.ops.drill.report import Drill, DrillAlarm, Progress
    from rtp.text.elements import Text

_ENDS = (Column("EVENTS", right=True), "STATUS", Column("ATTEMPTS", right=True), Column("LAST ERROR", long=True))
_ALARMS = ("ALARM", "STATE", Column("AFTER", right=True), "EXPECTED")


def progress(step: Progress) -> Line:
    """What the drill does now."""
    return line(f"{step.done:,} of {step.total:,} {step.what}" if step.total else step.what)


def cleaned_up(result: CleanedUp, env: str) -> list[Element]:
    """What was removed of earlier drills."""
    gone = result.removed
    elements: list[Element] = [
        heading("drill", env, "clean-up", many(len(result.runs), "run")),
        line(good(f"{gone.records:,} records"), f", {gone.messages:,} messages, {gone.objects:,} objects removed"),
    ]
    if gone.shared_objects:
        elements.append(line(dim(f"{many(gone.shared_objects, 'object')} with other events stay"), indent=2))
    if result.waiting:
        elements.append(
            line(warn(f"{many(result.waiting, 'event')} not ended"), "; repeat it when they have", indent=2)
        )
    if result.unseen:
        elements.append(line(warn(f"{result.unseen:,} not seen yet"), "; repeat it in a minute", indent=2))
    return [*elements, *(line(warn("note: "), advice(note)) for note in result.notes)]


def drill(result: Drill, env: str) -> list[Element]:
    """The ledger, the ends, the alarms, and what was removed."""
    elements: list[Element] = [
        heading(
            "drill", env, result.fault, many(result.count, "event"), f"run {result.run}", f"{result.duration_s:g} s"
        ),
        _verdict(result),
    ]
    if result.ends:
        rows = [(f"{end.count:,}", end.status, str(end.attempts), end.error or "-") for end in result.ends]
        elements += [Heading("Ends"), Table(_ENDS, rows), *_times(result)]
    elements.append(Heading("Alarms"))
    alarms = [(alarm.name, _state(alarm), _after(alarm), "yes" if alarm.expected else "no") for alarm in result.alarms]
    elements.append(Table(_ALARMS, alarms, empty="none was expected, and none fired"))
    elements += [Heading("Left"), *_left(result)]
    elements += [line(warn("note: "), advice(note)) for note in result.notes]
    return elements


def _verdict(result: Drill) -> Line:
    ledger = result.ledger
    parts = [f"{ledger.sent:,} sent", f"{ledger.processed:,} processed", f"{ledger.dead:,} dead"]
    parts += [f"{ledger.unsent:,} not sent"] if ledger.unsent else []
    parts += [f"{ledger.waiting:,} not ended"] if ledger.waiting else []
    parts += [f"{ledger.lost:,} lost", f"{ledger.doubled:,} doubled"]
    mark = good("✓ as expected: ") if result.is_as_expected else bad(f"✗ expected {result.count:,} {result.expected}: ")
    return line(mark, ", ".join(parts))


def _times(result: Drill) -> list[Element]:
    if result.first_end_s is None or result.last_end_s is None:
        return []
    return [line(dim(f"the first ended after {result.first_end_s:g} s, the last after {result.last_end_s:g} s"))]


def _state(alarm: DrillAlarm) -> Text | str:
    if alarm.state == "fired":
        return good("fired") if alarm.expected else warn("fired")
    return bad("did not fire") if alarm.state == "silent" else "was firing before"


def _after(alarm: DrillAlarm) -> str:
    return "-" if alarm.after_s is None else f"{alarm.after_s:g} s"


def _left(result: Drill) -> list[Element]:
    removed = result.removed
    parts = [many(removed.messages, "message"), many(removed.records, "record"), many(removed.objects, "object")]
    elements: list[Element] = [line("removed: ", ", ".join(parts)), line("stays: ", "; ".join(result.stays))]
    if removed.shared_objects:
        elements.append(line("stays: ", f"{many(removed.shared_objects, 'object')} with other events too"))
    return elements
