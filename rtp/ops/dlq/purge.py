"""Purge: delete DLQ messages, each only after the journal has a copy that `rtp dlq undo` can restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.ops.access import lease
from rtp.ops.dlq import journal
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.journal import Writer
    from rtp.ops.dlq.target import Target
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
    backup: file that `rtp dlq undo` restores them from. missing: ids given that are not in the queue.
    """

    run: str
    deleted: int
    kept: int
    backup: str
    missing: list[str]


def purge(
    target: Target, request: PurgeRequest, *, stop: Stop, notify: Callable[[str], None] = lambda _: None
) -> Generator[Deleted, None, Purged]:
    """Delete the matching messages of those that are in the DLQ now, under the lease.

    notify: called with what is waited for. Raises RefusedError where another operator holds the lease.
    """
    with (
        journal.Writer(target, "purge", sync=True) as writer,
        lease.held(target.aws, target.table, "dlq purge", stop),
    ):
        sweep = Sweep(target.aws, target.dlq_url, stop=stop, notify=notify)
        try:
            return (yield from _run(target, request, writer, sweep, stop))
        finally:
            sweep.release()


def _run(
    target: Target, request: PurgeRequest, writer: Writer, sweep: Sweep, stop: Stop
) -> Generator[Deleted, None, Purged]:
    deleted = not_deleted = 0
    matching_ids: set[str] = set()
    for messages in sweep:
        selected = request.filters.select(dlq.joined(target.aws, target.table, messages))
        matching_ids.update(dlq_message.id for dlq_message in selected)
        selected = selected if request.limit is None else selected[: request.limit - deleted]
        if selected:
            writer.taken(selected)
            receipts = {dlq_message.message.receipt: dlq_message.message_id for dlq_message in selected}
            failed = set(queues.delete(target.aws, target.dlq_url, list(receipts)))
            removed = [message_id for receipt, message_id in receipts.items() if receipt not in failed]
            writer.deleted(removed)
            sweep.drop(removed)
            deleted, not_deleted = deleted + len(removed), not_deleted + len(failed)
            yield Deleted(deleted)
        if request.limit is not None and deleted >= request.limit:
            break
    is_complete = request.limit is None and not stop.drain.is_set()
    missing = request.filters.missing(matching_ids) if is_complete else []
    return Purged(writer.run, deleted, not_deleted, str(writer.path) if deleted else "", missing)
