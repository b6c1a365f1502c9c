"""What a purge deletes, how far it goes, and what it reports."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from rtp.errors import AwsError, RefusedError
from rtp.ops import run_marks
from rtp.ops.access import lease
from rtp.ops.dlq import purge
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.purge import Purged, PurgeRequest
from rtp.ops.dlq.target import Target
from rtp.ops.run_marks import Operator
from rtp.ops.work.pool import Stop
from tests.unit.ops.fakes import DLQ, OUTPUTS, TABLE, FakeAws, MemoryJournals, event

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Journals(MemoryJournals):
    """Remembers whether each write had to outlast a crash."""

    durable: list[bool] = field(default_factory=list)

    def append(self, run: str, batch: bytes, *, durable: bool) -> None:
        self.durable.append(durable)
        super().append(run, batch, durable=durable)


def filled(count: int) -> FakeAws:
    aws = FakeAws()
    for n in range(count):
        aws.put(DLQ, event(n))
    return aws


def purged(
    aws: FakeAws,
    filters: Filters | None = None,
    *,
    limit: int | None = None,
    store: MemoryJournals | None = None,
    stop: Stop | None = None,
    notify: Callable[[str], None] = lambda _: None,
    on_step: Callable[[int], None] = lambda _: None,
) -> Purged:
    target = Target(aws=aws, outputs=OUTPUTS, stack="s", account="1", journals=store or MemoryJournals())
    request = PurgeRequest(filters=filters or Filters(), limit=limit)
    steps = purge.purge(target, request, stop=stop or Stop(), notify=notify, clock=aws.clock)
    while True:
        try:
            on_step(next(steps).count)
        except StopIteration as ended:
            done: Purged = ended.value
            return done


def test_a_purge_names_its_journal_and_counts_as_it_goes() -> None:
    aws, store, counts = filled(35), Journals(), list[int]()
    done = purged(aws, store=store, on_step=counts.append)
    assert (done.deleted, done.kept, done.missing, done.unseen) == (35, 0, [], 0)
    assert store.runs() == [done.run] and done.backup == f"memory/{done.run}"
    assert counts == [10, 30, 35]
    assert store.durable and all(store.durable)  # the journal has the only copy
    assert done.run.split("-")[1] == "purge"


def test_a_purge_that_deletes_nothing_names_no_journal() -> None:
    store = MemoryJournals()
    done = purged(filled(3), Filters(ids=("gone",)), store=store)
    assert (done.deleted, done.backup, done.missing, store.runs()) == (0, "", ["gone"], [])


@pytest.mark.parametrize("limit", [1, 10, 12, 34])
def test_a_purge_ends_at_its_limit_and_calls_nothing_missing(limit: int) -> None:
    aws = filled(40)
    done = purged(aws, limit=limit)
    assert (done.deleted, done.kept, len(aws.bodies(DLQ))) == (limit, 0, 40 - limit)
    assert aws.visible(DLQ) == 40 - limit
    assert purged(aws, Filters(ids=("e39", "gone")), limit=1).missing == []


def test_no_message_is_received_after_the_limit() -> None:
    aws = filled(40)
    purged(aws, limit=10)
    assert aws.calls["receive_message"] == 1


def test_a_message_that_sqs_does_not_delete_is_kept_and_stays() -> None:
    aws = filled(25)

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("delete_message_batch", "before"):
            for message in aws.queues[DLQ]:
                if message.body in (event(3), event(14)):
                    message.receipt = "another"

    aws.fault = fault
    done = purged(aws)
    assert (done.deleted, done.kept) == (23, 2)
    assert sorted(aws.bodies(DLQ)) == [event(14), event(3)]


def test_a_stopped_purge_calls_nothing_missing() -> None:
    stop = Stop()
    stop.drain.set()
    done = purged(filled(3), Filters(ids=("gone",)), stop=stop)
    assert (done.deleted, done.missing) == (0, [])


def test_hidden_messages_are_waited_for_and_said() -> None:
    aws, remarks = filled(3), list[str]()
    aws.queues[DLQ][0].hidden_until = aws.now + 20
    assert purged(aws, notify=remarks.append).deleted == 3
    assert len(remarks) == 1


def test_others_see_that_a_purge_holds_the_lease() -> None:
    aws, seen = filled(1), list[str]()

    def look(_: int) -> None:
        with pytest.raises(RefusedError, match="`rtp dlq purge`"), lease.held(aws, TABLE, "x", Stop()):
            seen.append("nobody")

    purged(aws, on_step=look)
    assert seen == []
    with lease.held(aws, TABLE, "x", Stop()):
        pass


def test_a_deletion_that_is_not_answered_is_an_error_and_leaves_the_messages_visible() -> None:
    aws = filled(5)

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("delete_message_batch", "before"):
            raise AwsError("sqs delete_message_batch: no", service_code="InternalError")

    aws.fault = fault
    with pytest.raises(AwsError):
        purged(aws)
    assert aws.visible(DLQ) == 5


def marked(store: MemoryJournals, run: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(store.documents[run]["1-end"])
    return found


def test_a_purge_leaves_for_other_machines_how_it_ended() -> None:
    aws, store = filled(12), MemoryJournals()

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("delete_message_batch", "before"):
            aws.queues[DLQ][0].receipt = "another"

    aws.fault = fault
    done = purged(aws, store=store, limit=9)
    assert marked(store, done.run) == {"done": 9, "state": "ended", "failed": 1, "stopped_by": ""}
    stop = Stop()
    done = purged(filled(3), store=store, stop=stop, on_step=lambda _: stop.drain.set())
    assert marked(store, done.run) == {"done": 3, "state": "interrupted", "failed": 0, "stopped_by": ""}
    assert done.stopped_by == ""


def test_a_purge_that_another_operator_stops_says_who() -> None:
    aws, store, stop = filled(40), MemoryJournals(), Stop()

    def ask(_: int) -> None:
        run_marks.ask_to_stop(store, store.runs()[0], 1, Operator("", "bob", "lap"))
        assert stop.drain.wait(20)

    done = purged(aws, store=store, stop=stop, on_step=ask)
    assert (done.deleted, done.stopped_by) == (10, "bob@lap")
    assert marked(store, done.run) == {"done": 10, "state": "stopped", "failed": 0, "stopped_by": "bob@lap"}
