"""Purge: delete DLQ messages, each only after the journal has a copy that `rtp dlq undo` can restore."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rtp.ops import run_marks
from rtp.ops.access import lease
from rtp.ops.dlq import batches, journal, notes
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.filters import Named
from rtp.ops.dlq.sweep import Sweep
from rtp.ops.work.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.journal import Writer
    from rtp.ops.dlq.target import Target
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeRequest:
    """Which messages to delete. limit: number of messages."""

    filters: Filters
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """Step: the number of messages deleted so far."""

    count: int


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge deleted.

    deleted: messages deleted. kept: messages that SQS did not delete.
    backup: the journal that `rtp dlq undo` restores them from, in rtp's own bucket or a file.
    missing: requested ids that were not found in the queue.
    unseen: messages that SQS counts and that could not be received, since another receiver hides them.
    stopped_by: the operator who asked this run to stop, as user@host; empty where nobody did.
    """

    run: str
    deleted: int
    kept: int
    backup: str
    missing: list[str]
    unseen: int = 0
    stopped_by: str = ""


def purge(
    target: Target,
    request: PurgeRequest,
    *,
    stop: Stop,
    notify: Callable[[str], None] = lambda _: None,
    clock: Clock = SYSTEM,
) -> Generator[Deleted, None, Purged]:
    """Delete the matching messages of those that are in the DLQ now, under the lease.

    notify: called with what is waited for. Raises RefusedError where another operator holds the lease.
    """
    with (
        journal.Writer(target, "purge", durable=True) as writer,
        lease.held(target.aws, target.table, "dlq purge", stop),
        run_marks.beating(target.journals, writer.position, stop) as beat,
    ):
        matching = Named(request.filters)
        sweep = Sweep(
            target.aws,
            target.dlq_url,
            stop=stop,
            patience=Patience(is_enough=matching.are_all, notify=notify, clock=clock),
        )
        try:
            purged = yield from _run(target, request, writer, sweep, matching, stop)
        finally:
            sweep.release()
        state = beat.state(is_cut=stop.drain.is_set())
        writer.result = {"state": state, "failed": purged.kept, "stopped_by": beat.label}
        return replace(purged, stopped_by=beat.label)


def _run(
    target: Target, request: PurgeRequest, writer: Writer, sweep: Sweep, matching: Named, stop: Stop
) -> Generator[Deleted, None, Purged]:
    """matching: filled with the ids of the messages that match."""
    deleted = not_deleted = 0
    for messages in sweep:
        selected = request.filters.select(dlq.joined(target.aws, target.table, messages))
        matching.add(selected)
        selected = selected if request.limit is None else selected[: request.limit - deleted]
        if selected:
            writer.taken(selected)
            notes.forget(target, selected)
            receipts = sweep.claim(dlq_message.message_id for dlq_message in selected)
            failed = set(_delete(target, sweep, receipts))
            removed = [message_id for message_id in receipts if message_id not in failed]
            writer.deleted(removed)
            deleted, not_deleted = deleted + len(removed), not_deleted + len(failed)
            yield Deleted(deleted)
        if request.limit is not None and deleted >= request.limit:
            break
    is_complete = request.limit is None and not stop.drain.is_set()
    missing = request.filters.missing(matching.ids) if is_complete else []
    return Purged(writer.run, deleted, not_deleted, writer.where if deleted else "", missing, sweep.unseen)


def _delete(target: Target, sweep: Sweep, receipts: dict[str, str]) -> list[str]:
    """Delete messages that were claimed. Returns the ids of those that SQS did not delete."""
    kept = dict(receipts)
    try:
        failed, error = batches.delete(target.aws, target.dlq_url, list(receipts.values()))
        kept = {message_id: receipt for message_id, receipt in receipts.items() if receipt in failed}
    finally:
        sweep.unclaim(kept)
    if error is not None:
        raise error
    return list(kept)
