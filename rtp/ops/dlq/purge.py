"""Delete dead messages for good, each only after it was written to a backup that `rtp dlq undo` can put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import queues
from rtp.contract import Output
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.sweep import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.journal import Writer
    from rtp.ops.work.pool import Stop


@dataclass(frozen=True, slots=True)
class Purged:
    """`dlq purge --json`. kept: messages that SQS did not delete. missing: ids that are not in the queue."""

    run: str
    deleted: int
    kept: int
    backup: str
    missing: list[str]


def purge(
    aws: Aws,
    outputs: dict[str, str],
    writer: Writer,
    *,
    wanted: Filters,
    limit: int | None,
    stop: Stop,
    notify: Callable[[int], None] = lambda _: None,
    told: Callable[[str], None] = lambda _: None,
) -> Purged:
    """Delete the wanted messages of those that are there now. tell: how many are deleted; told: what is waited for."""
    url, table = outputs[Output.DLQ_URL], outputs[Output.TABLE]
    sweep = Sweep(aws, url, stop=stop, notify=told)
    deleted = kept = 0
    named: set[str] = set()
    try:
        for new in sweep:
            dlq_messages = [dlq_message for dlq_message in dlq.joined(aws, table, new) if wanted(dlq_message)]
            named.update(dlq_message.id for dlq_message in dlq_messages)
            dlq_messages = dlq_messages if limit is None else dlq_messages[: limit - deleted]
            if dlq_messages:
                writer.took(dlq_messages)
                failed = set(queues.delete(aws, url, [dlq_message.message.receipt for dlq_message in dlq_messages]))
                gone = [
                    dlq_message.message_id for dlq_message in dlq_messages if dlq_message.message.receipt not in failed
                ]
                writer.deleted(gone)
                sweep.drop(gone)
                deleted, kept = deleted + len(gone), kept + len(failed)
                notify(deleted)
            if limit is not None and deleted >= limit:
                break
    finally:
        sweep.release()
    whole = limit is None and not stop.drain.is_set()
    missing = [asked for asked in wanted.ids if asked not in named] if whole else []
    return Purged(writer.run, deleted, kept, str(writer.path) if deleted else "", missing)
