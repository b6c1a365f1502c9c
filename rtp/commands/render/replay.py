"""Render what a replay selected and queued."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rtp.text import suggest, times
from rtp.text.elements import Column, Element, Line, Table, bad, dim, good, line, many, name, next_step

if TYPE_CHECKING:
    from rtp.ops.events.planned import Planned
    from rtp.ops.events.replay import Found, Queued, Replay

_ROWS = 20
_REASONS = 5
_COLUMNS = (
    Column("ID", tail=True),
    Column("TIME", whole=True, drop=2),
    Column("TYPE", drop=1),
    Column("STATUS", whole=True),
)


def found(step: Found) -> Line:
    """Progress of the search in the archive."""
    return line(dim(f"{step.count:,} found"))


def queued(step: Queued, total: int) -> Line:
    """Progress of the replay."""
    return line(f"{step.count:,} of {total:,} queued")


def counted(planned: list[Planned]) -> str:
    """The number of events, and of each status."""
    counts = ", ".join(f"{n:,} {status}" for status, n in Counter(event.status for event in planned).most_common())
    return f"{many(len(planned), 'event')} ({counts})"


def interrupted(run: str, count: int) -> str:
    """The warning of a replay that did not end, before another one begins."""
    text = f"the replay {run} did not end, and may have {many(count, 'event')} left to queue"
    rest = suggest.command("rtp", "replay", run=run)
    return text + suggest.sentence("; {} queues them so that none is processed twice", rest)


def replay(result: Replay) -> list[Element]:
    """The events of a dry run, or what was queued and what was not."""
    if not result.events:
        return [line("no archived event matches")]
    if result.dry_run:
        return _dry_run(result.events)
    of_all = dim(f"  of {counted(result.events)}; run {result.run}")
    elements: list[Element] = [line(good(f"{result.replayed:,} queued"), of_all)]
    if result.stopped_by:
        elements.append(line(f"stopped by {result.stopped_by}", indent=2))
    for error, n in Counter(failure.error for failure in result.failed).most_common(_REASONS):
        elements.append(line(bad(f"{n:,} × "), error, indent=2))
    not_started = len(result.events) - result.replayed - len(result.failed)
    if not_started or any("interrupted" in failure.error for failure in result.failed):
        elements.append(line(f"{not_started:,} not started", indent=2))
        rest = suggest.command("rtp", "replay", run=result.run or "")
        elements += next_step("next  ", rest, "queue the rest, under the same name", indent=2)
    return elements


def _dry_run(planned: list[Planned]) -> list[Element]:
    rows = [(name(event.id), times.brief(event.timestamp), event.type, event.status) for event in planned[:_ROWS]]
    elements: list[Element] = [line(f"{counted(planned)} would be replayed"), Table(_COLUMNS, rows)]
    more = len(planned) - _ROWS
    return elements + ([dim(f"and {more:,} more")] if more > 0 else [])
