"""A redrive as an operator wants it: one message first, the rest when that one came through, outcomes told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.contract import Output
from rtp.ops.events import outcome
from rtp.text.elements import cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws
    from rtp.ops.dlq.redrive import Moved, Redrive
    from rtp.ops.events.outcome import Record
    from rtp.ops.work.pool import Stop


@dataclass(slots=True)
class Repair:
    """`dlq redrive --json`, filled as it goes.

    canary: status of the message that went first: processed, dead, or pending when its time was over.
    stopped: why the rest was left where it is. missing: ids that were asked for and are not in the queue.
    """

    run: str | None
    dry_run: bool = False
    redriven: int = 0
    messages: list[Moved] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    kept: int = 0
    died_again: int = 0
    canary: dict[str, Any] | None = None
    stopped: str = ""
    outcomes: dict[str, int] = field(default_factory=dict)
    dead: list[dict[str, Any]] = field(default_factory=list)
    pending: int = 0
    missing: list[str] = field(default_factory=list)

    def add(self, moved: Moved) -> None:
        """Count a message."""
        if moved.error:
            self.failed.append({"message_id": moved.message_id, "id": moved.id, "error": moved.error})
            return
        self.redriven += 1
        self.kept += moved.kept
        self.messages.append(moved)

    @property
    def bad(self) -> bool:
        """Whether something did not go, or died again."""
        return bool(self.failed or self.dead or self.stopped)


def run(
    aws: Aws,
    outputs: dict[str, str],
    work: Redrive,
    repair: Repair,
    *,
    canary: bool,
    wait: bool,
    limit: int | None,
    timeout_s: float,
    stop: Stop,
    notify: Callable[[Record], None] = lambda _: None,
) -> Iterator[Moved | Record]:
    """Move messages, and yield each as it goes, then the records of those that are waited for."""
    try:
        if canary and limit != 1:
            for moved in work.move(1):
                repair.add(moved)
                yield moved
            if repair.messages and not _went_well(aws, outputs, repair, timeout_s, stop, notify):
                return
            limit = None if limit is None else limit - len(repair.messages)
        for moved in work.move(limit):
            repair.add(moved)
            yield moved
    finally:
        repair.died_again = work.returned
        work.release()
    if wait and repair.messages:
        yield from _outcomes(aws, outputs, repair, timeout_s, stop, notify)


def _went_well(
    aws: Aws, outputs: dict[str, str], repair: Repair, timeout_s: float, stop: Stop, notify: Callable[[Record], None]
) -> bool:
    """Whether the first message came through; if not, why the rest stays."""
    first = repair.messages[0]
    waited = outcome.wait(
        aws,
        outputs[Output.TABLE],
        [first.identity],
        timeout_s=timeout_s,
        stop=stop,
        done=ended_since([first]),
        notify=notify,
    )
    record = next(waited, None)
    status = "pending" if record is None else str(record["status"])
    repair.canary = {"id": first.id, "timestamp": first.timestamp, "status": status}
    if status == "processed":
        return True
    if record is not None:
        repair.dead.append(record)
        repair.outcomes["dead"] = 1
        repair.stopped = f"went first and died again: {cause(record.get('error'))}"
    elif not stop.drain.is_set():
        repair.pending = 1
        repair.stopped = f"went first and has come to no end within {timeout_s:g} s"
    return False


def _outcomes(
    aws: Aws, outputs: dict[str, str], repair: Repair, timeout_s: float, stop: Stop, notify: Callable[[Record], None]
) -> Iterator[Record]:
    identities = dict.fromkeys(m.identity for m in repair.messages)
    repair.pending = len(identities)
    repair.outcomes.clear()
    repair.dead.clear()
    done = ended_since(repair.messages)
    waited = outcome.wait(
        aws, outputs[Output.TABLE], identities, timeout_s=timeout_s, stop=stop, done=done, notify=notify
    )
    for record in waited:
        status = str(record["status"])
        repair.pending -= 1
        repair.outcomes[status] = repair.outcomes.get(status, 0) + 1
        if status == "dead":
            repair.dead.append(record)
        yield record


def ended_since(messages: list[Moved]) -> Callable[[Record], bool]:
    """Tells whether a record's event has come to an end after it was redriven: a dead one was dead before, too."""
    before = {m.identity: m.runs for m in messages}

    def ended(record: Record) -> bool:
        runs = int(record.get("attempt_count", 0))
        fresh = record.get("status") == "processed" or runs > before[outcome.identity(record)]
        return fresh and outcome.ended(record)

    return ended
