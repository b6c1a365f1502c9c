"""Delete dead messages for good, each only after it was written to a backup that `rtp dlq undo` can put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp import times
from rtp.aws import queues
from rtp.contract import Output
from rtp.ops.dlq import deadletters, peek

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.aws import Aws
    from rtp.ops.dlq.journal import Writer
    from rtp.ops.dlq.wanted import Wanted
    from rtp.ops.events.deliver import Stop

_HIDDEN_S = 60


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
    wanted: Wanted,
    limit: int | None,
    stop: Stop,
    tell: Callable[[int], None] = lambda _: None,
) -> Purged:
    """Delete the wanted messages of those that are there now."""
    url, table = outputs[Output.DLQ_URL], outputs[Output.TABLE]
    bound, began_ms = queues.depth(aws, url).total, times.now_ms()
    met: set[str] = set()
    deleted = kept = 0
    named: set[str] = set()
    with peek.returned(aws, url) as receipts:
        while (limit is None or deleted < limit) and not stop.soon.is_set():
            uncounted = len(met) >= bound
            came = queues.receive(aws, url, visibility_s=_HIDDEN_S, wait_s=0 if aws.local else 1)
            new = [m for m in came if m.message_id not in met]
            receipts.update({m.message_id: m.receipt for m in came})
            met.update(m.message_id for m in new)
            if uncounted:  # SQS's count lags by up to a minute
                new = [m for m in new if m.sent_at <= began_ms]
            if not new:
                break
            letters = [letter for letter in deadletters.joined(aws, table, new) if wanted(letter)]
            named.update(letter.id for letter in letters)
            letters = letters if limit is None else letters[: limit - deleted]
            if not letters:
                continue
            writer.took(letters)
            failed = set(queues.delete(aws, url, [letter.message.receipt for letter in letters]))
            gone = [letter for letter in letters if letter.message.receipt not in failed]
            writer.deleted(letter.message_id for letter in gone)
            for letter in gone:
                receipts.pop(letter.message_id, None)
            deleted, kept = deleted + len(gone), kept + len(failed)
            tell(deleted)
    whole = limit is None and not stop.soon.is_set()
    missing = [asked for asked in wanted.ids if asked not in named] if whole else []
    return Purged(writer.run, deleted, kept, str(writer.path) if deleted else "", missing)
