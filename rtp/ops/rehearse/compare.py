"""Compare how an event ended in a rehearsal with what its record holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rtp.ops import causes
from rtp.ops.rehearse.selection import LOST
from rtp.runtime.jsontext import child

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.ops.events.outcome import Record
    from rtp.ops.rehearse.interpreter import Ran
    from rtp.runtime.groups import Group

_CHANGES = 20  # that are kept of one event
_INDEX = re.compile(r"\[\d+\]")


class Outcome(StrEnum):
    """How a rehearsed event compares with its record."""

    NOW_PROCESSED = "now-processed"
    SAME_RESULT = "same-result"
    OTHER_RESULT = "other-result"
    NEWLY_FAILING = "newly-failing"
    STILL_DEAD = "still-dead"
    NOT_REHEARSED = "not-rehearsed"  # it failed after something was refused to it
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Change:
    """A difference between two results.

    path: rooted at `$`. change: added, removed or changed. before: the record's value; after: the rehearsal's; null
    where it has none.
    """

    path: str
    change: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Compared:
    """One event: how it ended, and how that compares with its record.

    group: of the failure. is_known: whether the record's failure is of the same group. reason: why it was skipped.
    message_id: of the DLQ message that it is from, where it has no record.
    """

    outcome: Outcome
    id: str
    timestamp: int
    type: str
    ran: Ran | None = None
    group: Group | None = None
    is_known: bool = False
    changes: tuple[Change, ...] = ()
    reason: str = ""
    message_id: str = ""

    @property
    def kind(self) -> tuple[str, ...]:
        """What events with the same difference of results have in common: type and paths, without places in lists."""
        return (self.type, *sorted({_INDEX.sub("[]", change.path) for change in self.changes}))


def skipped(record: Record, reason: str, *, message_id: str = "") -> Compared:
    """An event that is not run. message_id: of the DLQ message that it is from, where it has no record."""
    return Compared(Outcome.SKIPPED, *_subject(record), reason=reason, message_id=message_id)


def compared(record: Record, ran: Ran, result: Any) -> Compared:
    """Compare. result: of the record, LOST where it is not there any more."""
    was_processed = record.get("status") == "processed"
    event_id, timestamp, kind = _subject(record)
    if ran.outcome != "processed":
        cause = ran.cause or causes.of(None)
        group = causes.group(kind, cause)
        before = causes.of(record.get("error"))
        is_known = not was_processed and bool(before.text) and causes.group(kind, before).id == group.id
        outcome = Outcome.NEWLY_FAILING if was_processed else Outcome.STILL_DEAD
        if ran.tried:  # without what was refused it may have ended otherwise
            outcome = Outcome.NOT_REHEARSED
        return Compared(outcome, event_id, timestamp, kind, ran, group, is_known)
    if not was_processed:
        return Compared(Outcome.NOW_PROCESSED, event_id, timestamp, kind, ran)
    if result is LOST:
        return skipped(record, "its stored result was deleted")
    changes = tuple(change for change, _ in zip(differences(result, ran.result), range(_CHANGES), strict=False))
    outcome = Outcome.OTHER_RESULT if changes else Outcome.SAME_RESULT
    return Compared(outcome, event_id, timestamp, kind, ran, changes=changes)


def differences(before: Any, after: Any, path: str = "$") -> Iterator[Change]:
    """The differences of two JSON values. Numbers are compared by value: 1.10 is 1.1."""
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            place = f"{path}[{index}]"
            if index >= len(after):
                yield Change(place, "removed", before[index], None)
            elif index >= len(before):
                yield Change(place, "added", None, after[index])
            else:
                yield from differences(before[index], after[index], place)
    elif not _is_same(before, after):
        yield Change(path, "changed", before, after)


def _of_objects(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> Iterator[Change]:
    for key in [*before, *(key for key in after if key not in before)]:
        place = child(path, key)
        if key not in after:
            yield Change(place, "removed", before[key], None)
        elif key not in before:
            yield Change(place, "added", None, after[key])
        else:
            yield from differences(before[key], after[key], place)


def _is_same(before: Any, after: Any) -> bool:
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    if isinstance(before, int | Decimal) and isinstance(after, int | Decimal):
        return before == after
    return type(before) is type(after) and bool(before == after)


def _subject(record: Record) -> tuple[str, int, str]:
    return str(record["id"]), int(record["timestamp"]), str(record.get("type", ""))
