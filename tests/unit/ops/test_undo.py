"""Undo of a purge and of a redrive: what is restored, what is left, and how it is counted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import queues
from rtp.errors import AwsError, RefusedError
from rtp.ops.access import lease
from rtp.ops.dlq import journal, undo
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.target import Target
from rtp.ops.work.pool import Stop
from rtp.runtime import wire
from rtp.text.times import now_ms, parse_when
from tests.unit.ops.fakes import DLQ, OUTPUTS, QUEUE, TABLE, FakeAws, MemoryJournals, event

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.ops.dlq.undo import Undone


@dataclass
class Run:
    """A stack with a recorded run. deleted, sent: numbers of the messages of which the journal says so."""

    aws: FakeAws
    store: MemoryJournals
    run: str = ""

    @property
    def target(self) -> Target:
        return Target(aws=self.aws, outputs=OUTPUTS, stack="shop-dev", account="1", journals=self.store)

    def undone(self, *, stop: Stop | None = None, notify: Callable[[str], None] = lambda _: None) -> Undone:
        found = undo.load(self.target, None)
        return undo.undo(self.target, found, stop=stop or Stop(), notify=notify, clock=self.aws.clock)

    @property
    def entries(self) -> list[journal.Entry]:
        return list(journal.load(self.store, self.run).entries.values())


def recorded(what: str, count: int, *, sent: int = 0, deleted: int = 0) -> Run:
    """A run over the whole DLQ, the first messages of which were sent to the queue, or deleted."""
    run = Run(FakeAws(), MemoryJournals())
    for n in range(count):
        run.aws.put(DLQ, event(n), mine=f"kept{n}")
    with journal.Writer(run.target, what) as writer:
        run.run = writer.run
        messages = [dlq.read(m) for m in queues.receive(run.aws, DLQ, visibility_s=0, most=count)]
        writer.taken(messages)
        new = {}
        for m in messages[:sent]:
            attributes, _ = dlq.attributes(m, f"{writer.run}#{m.message_id}")
            new[m.message_id] = run.aws.put(QUEUE, m.body)
            run.aws.queues[QUEUE][-1].attributes = attributes
        writer.sent(new)
        gone = {m.message_id for m in messages[:deleted]}
        run.aws.queues[DLQ] = [m for m in run.aws.queues[DLQ] if m.message_id not in gone]
        writer.deleted(sorted(gone))
    return run


def counts(done: Undone) -> tuple[int, int, int, int, int]:
    return done.back, done.processed, done.dead, done.earlier, done.unseen


def test_a_purge_is_undone_with_the_messages_as_they_were_and_noted_on_their_records() -> None:
    run = recorded("purge", 3, deleted=3)
    run.aws.record("e1", 1, status="dead")
    done = run.undone()
    assert (done.run, done.what, counts(done)) == (run.run, "purge", (3, 0, 0, 0, 0))
    assert run.aws.bodies(DLQ) == [event(n) for n in range(3)]
    assert [m.attributes["mine"]["StringValue"] for m in run.aws.queues[DLQ]] == ["kept0", "kept1", "kept2"]
    note = run.aws.items["e1", "1"]["dlq_message"]["M"]
    assert note["request_id"] == {"S": run.aws.queues[DLQ][1].message_id}
    # And a second undo has nothing to do
    assert counts(run.undone()) == (0, 0, 0, 3, 0)


@pytest.mark.parametrize("count", [100, 101, 250])
def test_many_messages_are_recorded_and_sent_a_hundred_at_a_time(count: int) -> None:
    run = recorded("purge", count, deleted=count)
    assert counts(run.undone()) == (count, 0, 0, 0, 0)
    lines = run.store.journals[run.run].decode().split("\n")
    restoring = [line for line in lines if '"restoring"' in line]
    assert len(restoring) == count
    assert run.aws.calls["send_message_batch"] == count // 100 * 10 + (count % 100 + 9) // 10
    assert sorted(run.aws.bodies(DLQ)) == sorted(event(n) for n in range(count))


def test_messages_of_a_killed_purge_that_are_still_there_are_not_sent() -> None:
    run = recorded("purge", 5, deleted=2)
    assert counts(run.undone()) == (2, 0, 0, 0, 0)
    assert sorted(run.aws.bodies(DLQ)) == sorted(event(n) for n in range(5))


def test_what_sqs_refuses_is_not_restored_and_may_be_later() -> None:
    run = recorded("purge", 5, deleted=5)
    run.aws.refused = {event(1), event(3)}
    assert counts(run.undone()) == (3, 0, 0, 0, 0)
    assert [entry.restored for entry in run.entries] == [True, False, True, False, True]
    run.aws.refused = set()
    assert counts(run.undone()) == (2, 0, 0, 3, 0)
    assert sorted(run.aws.bodies(DLQ)) == sorted(event(n) for n in range(5))


def test_of_a_killed_undo_what_was_sent_is_found_and_sent_no_second_time() -> None:
    # Given an undo that died after it sent two of three messages and before it recorded that
    run = recorded("purge", 3, deleted=3)
    restoring = journal.Restoring(run.store, journal.load(run.store, run.run))
    restoring.about_to(run.entries, now_ms() - 5_000)
    for n in range(2):
        run.aws.put(DLQ, event(n), mine=f"kept{n}")
    # Then the next one sends the third, and counts those as restored earlier
    assert counts(run.undone()) == (1, 0, 0, 2, 0)
    assert sorted(run.aws.bodies(DLQ)) == sorted(event(n) for n in range(3))


class Dated(FakeAws):
    """SQS's answers with a date."""

    def _get_queue_attributes(self, QueueUrl: str, **_: Any) -> dict[str, Any]:
        answer = super()._get_queue_attributes(QueueUrl)
        return {**answer, "ResponseMetadata": {"HTTPHeaders": {"date": "Tue, 10 Mar 2026 12:00:00 GMT"}}}


def test_what_is_about_to_be_sent_is_dated_by_sqs_clock_with_the_second_that_it_leaves_out() -> None:
    run = recorded("purge", 1, deleted=1)
    run.aws = Dated(now=run.aws.now, queues=run.aws.queues)
    assert run.undone().back == 1
    assert run.entries[0].restoring_since == parse_when("2026-03-10T12:00:00Z") - 1000
    # And by this machine's where an answer has no date
    run, began = recorded("purge", 1, deleted=1), now_ms()
    assert run.undone().back == 1
    assert began - 1000 <= run.entries[0].restoring_since <= now_ms() - 1000


def test_an_uncertain_message_that_another_receiver_hides_is_waited_for_and_said() -> None:
    run, remarks = recorded("purge", 4, deleted=2), list[str]()
    run.aws.queues[DLQ][0].hidden_until = run.aws.now + 30
    assert counts(run.undone(notify=remarks.append)) == (2, 0, 0, 0, 0)
    assert len(remarks) == 1 and "hidden by another receiver" in remarks[0]
    assert len(run.aws.bodies(DLQ)) == 4


def test_messages_of_a_killed_purge_that_sqs_does_not_count_yet_are_read_and_not_sent_again() -> None:
    run = recorded("purge", 30)
    run.aws.uncounted = 27
    assert counts(run.undone()) == (0, 0, 0, 0, 0)
    assert len(run.aws.bodies(DLQ)) == 30


def test_one_that_stays_hidden_is_neither_restored_nor_forgotten() -> None:
    run = recorded("purge", 6, deleted=3)
    run.aws.queues[DLQ][0].hidden_until = run.aws.now + 40_000
    assert counts(run.undone()) == (3, 0, 0, 0, 1)
    assert len(run.aws.bodies(DLQ)) == 6


def test_a_redrive_is_undone_where_its_messages_still_wait() -> None:
    # Given five redriven messages: one processed, one dead again, one taken by a worker, two that wait; and another's
    run = recorded("redrive", 5, sent=5, deleted=5)
    run.aws.put(QUEUE, event(90))
    run.aws.queues[QUEUE] = run.aws.queues[QUEUE][3:]
    run.aws.record("e0", 0, status="processed")
    run.aws.record("e1", 1, status="dead", attempt_count=1)
    run.aws.record("e2", 2, status="processing", lease_until=now_ms() + 60_000)
    done = run.undone()
    assert (done.what, counts(done)) == ("redrive", (2, 1, 1, 0, 1))
    assert sorted(run.aws.bodies(DLQ)) == [event(3), event(4)]
    assert (run.aws.bodies(QUEUE), run.aws.visible(QUEUE)) == ([event(90)], 1)
    assert wire.REDRIVE not in run.aws.queues[DLQ][0].attributes
    # And a second time the rest is as before
    assert counts(run.undone()) == (0, 1, 1, 2, 1)


def test_of_a_killed_redrive_what_is_in_both_queues_is_restored_by_its_deletion_from_the_queue() -> None:
    # Given a redrive that sent three of five messages, and was killed after it deleted the first
    run = recorded("redrive", 5, sent=3, deleted=1)
    done = run.undone()
    assert counts(done) == (3, 0, 0, 0, 0)
    assert sorted(run.aws.bodies(DLQ)) == sorted(event(n) for n in range(5))
    assert run.aws.bodies(QUEUE) == []
    assert [entry.restored for entry in run.entries] == [True, True, True, False, False]


def test_of_a_killed_undo_of_a_redrive_what_is_in_the_dlq_again_is_only_deleted_from_the_queue() -> None:
    # Given an undo that died after it sent one of two messages to the DLQ
    run = recorded("redrive", 2, sent=2, deleted=2)
    journal.Restoring(run.store, journal.load(run.store, run.run)).about_to(run.entries, now_ms() - 5_000)
    run.aws.put(DLQ, event(0), mine="kept0")
    assert counts(run.undone()) == (1, 0, 0, 1, 0)
    assert sorted(run.aws.bodies(DLQ)) == [event(0), event(1)]
    assert run.aws.bodies(QUEUE) == []


def test_a_message_that_may_be_in_the_dlq_stays_in_the_queue() -> None:
    # Given a killed undo of a redrive, and a message in the DLQ that another receiver hides
    run = recorded("redrive", 1, sent=1, deleted=1)
    journal.Restoring(run.store, journal.load(run.store, run.run)).about_to(run.entries, now_ms() - 5_000)
    run.aws.put(DLQ, event(0), mine="kept0")
    run.aws.queues[DLQ][0].hidden_until = run.aws.now + 40_000
    assert counts(run.undone()) == (0, 0, 0, 0, 1)
    assert (len(run.aws.bodies(DLQ)), run.aws.visible(QUEUE)) == (1, 1)


def test_the_queue_is_read_no_longer_than_until_the_last_message_of_the_run() -> None:
    run = recorded("redrive", 2, sent=2, deleted=2)
    for n in range(60):
        run.aws.put(QUEUE, event(50 + n))
    began = run.aws.now
    assert counts(run.undone()) == (2, 0, 0, 0, 0)
    assert (run.aws.visible(QUEUE), run.aws.now) == (60, began)
    assert sum(m.receives for m in run.aws.queues[QUEUE]) == 8


def test_the_queue_is_not_read_for_longer_than_some_seconds_where_messages_are_hidden() -> None:
    # Given a message of the run that a worker has received
    run = recorded("redrive", 2, sent=2, deleted=2)
    run.aws.queues[QUEUE][0].hidden_until = run.aws.now + 40_000
    began = run.aws.now
    assert counts(run.undone()) == (1, 0, 0, 0, 1)
    assert 5 <= run.aws.now - began < 10


def test_a_message_that_was_not_received_is_looked_for_again_where_its_event_has_not_run() -> None:
    # Given a queue whose counts lag, and receives that find nothing at first
    run = recorded("redrive", 2, sent=2, deleted=2)
    run.aws.uncounted, run.aws.blind = 2, True
    for n in range(2):
        run.aws.record(f"e{n}", n, status="dead")
    began = run.aws.now

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("receive_message", "before") and run.aws.now - began > 4:
            run.aws.blind = False

    run.aws.fault = fault
    assert counts(run.undone()) == (2, 0, 0, 0, 0)


def test_what_stays_hidden_is_not_called_dead_again_where_its_event_has_not_run() -> None:
    run = recorded("redrive", 2, sent=2, deleted=2)
    run.aws.record("e0", 0, status="dead")
    run.aws.queues[QUEUE][0].hidden_until = run.aws.now + 40_000
    assert counts(run.undone()) == (1, 0, 0, 0, 1)


@pytest.mark.parametrize("seconds", [(0, 0, 0), (0, 3, 1), (1, 3, 0)], ids=["together", "later", "before"])
def test_a_message_that_a_redrive_has_sent_twice_is_restored_once(seconds: tuple[int, int, int]) -> None:
    # Given a message of which the answer to its sending was lost, so that it was sent once more
    run = recorded("redrive", 2, sent=2, deleted=2)
    first = run.aws.queues[QUEUE][0]
    run.aws.put(QUEUE, first.body)
    run.aws.queues[QUEUE][-1].attributes = first.attributes
    lines = run.store.journals[run.run].split(b"\n")
    run.store.journals[run.run] = b"\n".join(line for line in lines if b'"sent"' not in line)
    # When one of both is received after the other, or with it
    for message, hidden_s in zip(run.aws.queues[QUEUE], seconds, strict=True):
        message.hidden_until = run.aws.now + hidden_s
    assert counts(run.undone()) == (2, 0, 0, 0, 0)
    assert (sorted(run.aws.bodies(DLQ)), run.aws.bodies(QUEUE)) == ([event(0), event(1)], [])


def test_a_message_that_an_earlier_undo_restored_and_that_left_the_queue_is_restored() -> None:
    # Given an undo that died after it sent a message to the DLQ, and a worker that has the other copy since
    run = recorded("redrive", 1, sent=1, deleted=1)
    journal.Restoring(run.store, journal.load(run.store, run.run)).about_to(run.entries, now_ms() - 5_000)
    run.aws.put(DLQ, event(0), mine="kept0")
    run.aws.queues[QUEUE].clear()
    assert counts(run.undone()) == (0, 0, 0, 1, 0)
    assert [entry.restored for entry in run.entries] == [True]


def test_of_a_killed_redrive_what_was_sent_and_not_found_is_not_seen_although_it_is_in_the_dlq_too() -> None:
    run = recorded("redrive", 3, sent=2, deleted=0)
    for message in run.aws.queues[QUEUE]:
        message.hidden_until = run.aws.now + 40_000
    assert counts(run.undone()) == (0, 0, 0, 0, 2)
    # And so is one that neither queue gives out
    run = recorded("redrive", 1)
    run.aws.queues[DLQ][0].hidden_until = run.aws.now + 40_000
    assert counts(run.undone()) == (0, 0, 0, 0, 1)


def test_an_earlier_run_is_undone_by_its_name() -> None:
    run = recorded("purge", 2, deleted=2)
    run.aws.put(DLQ, event(7))
    with journal.Writer(run.target, "purge") as writer:
        writer.taken([dlq.read(m) for m in queues.receive(run.aws, DLQ, visibility_s=0)])
    found = undo.load(run.target, run.run)
    done = undo.undo(run.target, found, stop=Stop(), clock=run.aws.clock)
    assert (done.run, counts(done)) == (run.run, (2, 0, 0, 0, 0))
    assert sorted(run.aws.bodies(DLQ)) == [event(0), event(1), event(7)]


def test_a_deletion_from_the_queue_that_fails_is_an_error_and_the_next_undo_goes_on_from_there() -> None:
    run, failing = recorded("redrive", 2, sent=2, deleted=2), [True]

    def fault(operation: str, when: str) -> None:
        if failing and (operation, when) == ("delete_message_batch", "before"):
            raise AwsError("sqs delete_message_batch: no", service_code="InternalError")

    run.aws.fault = fault
    with pytest.raises(AwsError):
        run.undone()
    assert (len(run.aws.bodies(DLQ)), run.aws.visible(QUEUE)) == (2, 2)  # in both, and again visible
    failing.clear()
    assert counts(run.undone()) == (0, 0, 0, 2, 0)
    assert run.aws.bodies(QUEUE) == []
    assert sorted(run.aws.bodies(DLQ)) == [event(0), event(1)]


def test_a_stopped_undo_restores_nothing_that_it_did_not_look_up() -> None:
    run, stop = recorded("redrive", 2, sent=2, deleted=1), Stop()
    stop.drain.set()
    done = run.undone(stop=stop)
    assert (done.back, done.unseen, run.aws.visible(QUEUE)) == (0, 2, 2)


def test_others_see_that_an_undo_holds_the_lease() -> None:
    run, seen = recorded("purge", 1, deleted=1), list[str]()

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("send_message_batch", "before"):
            run.aws.fault = lambda _operation, _when: None
            with pytest.raises(RefusedError, match="`rtp dlq undo`"), lease.held(run.aws, TABLE, "x", Stop()):
                seen.append("nobody")

    run.aws.fault = fault
    run.undone()
    assert seen == []


def test_another_undo_that_ended_meanwhile_is_seen_under_the_lease() -> None:
    run = recorded("purge", 2, deleted=2)
    read_before = undo.load(run.target, None)
    assert run.undone().back == 2
    done = undo.undo(run.target, read_before, stop=Stop(), clock=run.aws.clock)
    assert counts(done) == (0, 0, 0, 2, 0)


@pytest.mark.parametrize("owner", [{"stack": "shop-prod"}, {"account": "2"}])
def test_a_run_of_another_stack_or_account_is_refused(owner: dict[str, str]) -> None:
    run = recorded("purge", 1, deleted=1)
    target = replace(run.target, **owner)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match=f"{run.run} ran on shop-dev in account 1"):
        undo.load(target, None)
    assert undo.load(run.target, run.run).run == run.run


def test_many_messages_of_a_redrive_are_moved_back_each_once_and_recorded_before_they_are_sent() -> None:
    run = recorded("redrive", 300, sent=300, deleted=300)
    run.aws.put(QUEUE, event(999))  # of another sender
    steps: list[str] = []

    def fault(operation: str, when: str) -> None:
        if when == "before" and operation in ("send_message_batch", "delete_message_batch"):
            lines = run.store.journals[run.run].decode()
            steps.append(operation)
            assert lines.count('"restoring"') >= 10 * steps.count("send_message_batch") - 9
            assert steps.count("delete_message_batch") <= steps.count("send_message_batch")

    run.aws.fault = fault
    assert counts(run.undone()) == (300, 0, 0, 0, 0)
    assert sorted(run.aws.bodies(DLQ)) == sorted(event(n) for n in range(300))
    assert run.aws.bodies(QUEUE) == [event(999)]
    assert all(entry.restored for entry in run.entries)


def test_a_message_that_a_killed_redrive_sent_twice_is_taken_out_of_the_queue_twice() -> None:
    # Given a redrive that was killed before it recorded what it sent, and whose first message SQS has twice
    run = recorded("redrive", 200)
    held = list(run.aws.queues[DLQ])
    for number, message in enumerate([*held[:150], held[0], *held[150:]]):
        run.aws.put(QUEUE, event(number))
        mark = {"DataType": "String", "StringValue": f"{run.run}#{message.message_id}"}
        run.aws.queues[QUEUE][-1].attributes = {wire.REDRIVE: mark}

    run.undone()

    assert run.aws.bodies(QUEUE) == []
    assert [m.message_id for m in run.aws.queues[DLQ]] == [m.message_id for m in held]
