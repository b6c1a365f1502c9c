"""The events of redrives, purges and replays, by every operator's journals: what they died of, and are now."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.aws import records
from rtp.ops import causes
from rtp.ops.dlq import journal as journals
from rtp.ops.dlq import runs
from rtp.ops.events import replay_journal
from rtp.ops.journal_store import Skipping
from rtp.ops.triage.failures import Failure
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.aws import Aws
    from rtp.ops.dlq.runs import Stores

MOST_RUNS, MOST_EVENTS = 50, 5_000


class Seen(NamedTuple):
    """An event that failed. group: id of its cause. failure: its status is that of now."""

    group: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class Repaired:
    """Events of redrives, purges and replays. more: whether there are others that were not read.

    skipped: why the journal of a run could not be read, of each that is left out.
    """

    seen: list[Seen] = field(default_factory=list)
    more: bool = False
    skipped: list[str] = field(default_factory=list)


NONE = Repaired()


def seen(failure: Failure) -> Seen:
    """A failure by the group that its record gives it."""
    return Seen(failure.group.id, failure)


def read(aws: Aws, table: str, stores: Stores, owner: tuple[str, str], *, since: int) -> Repaired:
    """Read the events of the runs that began since then. owner: stack and account. Raises AwsError, RefusedError.

    A journal that is damaged, or that another program wrote, hides no other.
    """
    skipped: list[str] = []
    skipping = Skipping(lambda why: skipped.append(why.removeprefix("Skipped: ")))
    listed = runs.listed(stores, owner, limit=MOST_RUNS, skipping=skipping)
    begun = [run for run in listed.runs if times.parse_when(run.began) >= since]
    groups: dict[tuple[str, int], str] = {}
    for run in begun:
        store = stores.of(run.run)
        with skipping.journal(store, run.run):
            for identity, group in (_replayed if store is stores.replay else _taken)(stores, run.run):
                groups.setdefault(identity, group)
    keys = list(groups)[:MOST_EVENTS]
    found = []
    for record in records.by_keys(aws, table, keys):
        failure = of_record(record)
        if failure is not None:
            found.append(Seen(groups[failure.id, failure.timestamp] or failure.group.id, failure))
    more = len(groups) > MOST_EVENTS or (listed.more and len(begun) == len(listed.runs))
    return Repaired(found, more, skipped)


def _taken(stores: Stores, run: str) -> Iterator[tuple[tuple[str, int], str]]:
    """The events that a redrive or a purge took out of the DLQ, with the groups of their causes."""
    journal = journals.read(stores.dlq, run)
    for entry in journal.entries.values() if journal is not None else ():
        if entry.group and entry.identity.timestamp >= 0:
            yield (entry.identity.id, entry.identity.timestamp), entry.group


def _replayed(stores: Stores, run: str) -> Iterator[tuple[tuple[str, int], str]]:
    """The events that a replay has queued and that had failed before it, with the groups of their causes.

    The journal of an older rtp has no groups: that of the record counts then.
    """
    for event in replay_journal.queued(stores.replay, run):
        if (event.group or event.status in ("dead", "failed")) and event.timestamp >= 0:
            yield (event.id, event.timestamp), event.group


def of_record(record: Mapping[str, Any]) -> Failure | None:
    """What an event died of before, and its status now; None where no attempt of it has failed."""
    attempts = record.get("attempts")
    failed = [a for a in attempts if isinstance(a, dict) and a.get("error")] if isinstance(attempts, list) else []
    last = failed[-1] if failed else None
    cause = causes.of(last["error"] if last is not None else record.get("error"))
    if not cause.type:
        return None
    invocations = [record, *(a for a in (attempts if isinstance(attempts, list) else ()) if isinstance(a, dict))]
    same = [a for a in failed if str(a["error"].get("type", "")) == cause.type]
    ended = [int(a["at"]) for a in same if isinstance(a.get("at"), int)]
    ended = ended or [int(record.get("attempted_at") or record["timestamp"])]
    return Failure(
        id=str(record["id"]),
        timestamp=int(record["timestamp"]),
        kind=str(record.get("type", "")),
        status=str(record.get("status", "")),
        cause=replace(cause, message=""),
        first=min(ended),
        last=max(ended),
        releases=tuple(dict.fromkeys(str(a["release"]) for a in same if a.get("release"))),
        requests=frozenset(str(each["request_id"]) for each in invocations if each.get("request_id")),
    )
