"""One pass of a redrive over the DLQ: batches, their size, what is sent, and what is left of killed runs."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import queues
from rtp.errors import AwsError
from rtp.ops.dlq import journal
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.leftovers import Leftovers, SentMessages
from rtp.ops.dlq.move import Moved, Mover, Selection
from rtp.ops.dlq.sweep import Sweep
from rtp.ops.dlq.target import Target
from rtp.ops.work.pool import Stop
from rtp.runtime import wire
from rtp.runtime.event import Identity, parse
from rtp.text.times import parse_when
from tests.unit.ops.fakes import DLQ, OUTPUTS, QUEUE, FakeAws, MemoryJournals, event

if TYPE_CHECKING:
    from collections.abc import Mapping


NOBODY = Identity("", 0)


def target(aws: FakeAws, store: MemoryJournals | None = None) -> Target:
    return Target(aws=aws, outputs=OUTPUTS, stack="shop-dev", account="1", journals=store or MemoryJournals())


def filled(count: int, url: str = DLQ) -> FakeAws:
    aws = FakeAws()
    for n in range(count):
        aws.put(url, event(n), mine="kept")
    return aws


def moved(
    where: Target,
    aws: FakeAws,
    *,
    limit: int | None = None,
    rate: float | None = None,
    edited: Mapping[str, str] | None = None,
    ids: tuple[str, ...] = (),
) -> tuple[list[Moved], Mover]:
    with journal.Writer(where, "redrive") as writer:
        selection = Selection(filters=Filters(ids=ids), rate=rate, edited=edited or {})
        mover = Mover(where, selection, writer, stop=Stop(), clock=aws.clock)
        try:
            return list(mover.move(limit)), mover
        finally:
            mover.release()


class Batches(FakeAws):
    """Remembers how many messages each call has sent."""

    sizes: list[int]

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        if operation == "send_message_batch":
            self.__dict__.setdefault("sizes", []).append(len(params["Entries"]))
        return super().call(service, operation, **params)


@pytest.mark.parametrize(
    ("count", "limit", "rate", "sizes"),
    [
        (12, None, None, [10, 2]),
        (12, None, 4000.0, [10, 2]),
        (3, None, 0.5e4, [3]),
        (30, 23, None, [3, 10, 10]),
        (30, 1, None, [1]),
        (30, 0, None, []),
    ],
)
def test_messages_are_moved_in_batches_up_to_the_limit(
    count: int, limit: int | None, rate: float | None, sizes: list[int]
) -> None:
    aws = Batches()
    for n in range(count):
        aws.put(DLQ, event(n))
    found, _ = moved(target(aws), aws, limit=limit, rate=rate)
    assert sorted(aws.__dict__.get("sizes", [])) == sorted(sizes)
    assert len(found) == len(aws.bodies(QUEUE)) == sum(sizes)
    assert aws.visible(DLQ) == count - sum(sizes)


@pytest.mark.parametrize(("rate", "sizes"), [(7.9, [7, 1]), (0.99, [1, 1])])
def test_a_batch_is_no_larger_than_the_messages_of_a_second(rate: float, sizes: list[int]) -> None:
    aws = Batches()
    for n in range(sum(sizes)):
        aws.put(DLQ, event(n))
    moved(target(aws), aws, rate=rate)
    assert aws.sizes == sizes


def test_what_is_sent_is_the_event_or_its_edit_with_the_runs_mark_and_the_trace() -> None:
    aws, store = filled(2), MemoryJournals()
    ids = [m.message_id for m in aws.queues[DLQ]]
    found, mover = moved(target(aws, store), aws, edited={ids[1]: event(1, version=2)})
    assert aws.bodies(QUEUE) == [event(0), event(1, version=2)]
    (run,) = store.runs()
    for sent, message_id in zip(aws.queues[QUEUE], ids, strict=True):
        texts = {name: value["StringValue"] for name, value in sent.attributes.items()}
        assert (texts["mine"], texts[wire.REDRIVE], texts[wire.SOURCE]) == ("kept", f"{run}#{message_id}", "redrive")
    assert [(one.error, one.is_in_both, one.left_out) for one in found] == [("", False, ())] * 2
    assert (mover.died_again, mover.unseen) == (0, 0)
    entries = journal.load(store, store.runs()[-1]).entries.values()
    assert [entry.sent_id for entry in entries] == [m.message_id for m in aws.queues[QUEUE]]
    assert all(entry.deleted for entry in entries)


def test_only_the_messages_whose_deletion_is_certain_are_recorded_as_deleted() -> None:
    aws, store = filled(4), MemoryJournals()

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("delete_message_batch", "before"):
            aws.queues[DLQ][2].receipt = "another"

    aws.fault = fault
    found, _ = moved(target(aws, store), aws)
    assert [one.is_in_both for one in found] == [False, False, True, False]
    assert [entry.deleted for entry in journal.load(store, store.runs()[-1]).entries.values()] == [
        True,
        True,
        False,
        True,
    ]
    assert aws.bodies(DLQ) == [event(2)]


class Killed(BaseException):
    """The process ends here."""


def killed(aws: FakeAws, store: MemoryJournals, *, sent: int, answered: int, deleted: int = 0) -> str:
    """A redrive of the whole DLQ that was killed. answered: messages whose sending is in its journal."""
    where = target(aws, store)
    with contextlib.suppress(Killed), journal.Writer(where, "redrive") as writer:
        messages = [dlq.read(m) for m in queues.receive(aws, DLQ, visibility_s=0)]
        writer.taken(messages)
        new = {}
        for number, m in enumerate(messages[:sent]):
            message_id = aws.put(QUEUE, m.body)
            aws.queues[QUEUE][-1].attributes = dlq.attributes(m, f"{writer.run}#{m.message_id}")[0]
            if number < answered:
                new[m.message_id] = message_id
        writer.sent(new)
        gone = [m.message_id for m in messages[:deleted]]
        writer.deleted(gone)
        aws.queues[DLQ] = [m for m in aws.queues[DLQ] if m.message_id not in gone]
        raise Killed
    assert not journal.load(store, writer.run).ended
    return writer.run


@pytest.mark.parametrize("answered", [3, 2, 0])
def test_what_a_killed_redrive_has_sent_is_only_deleted(answered: int) -> None:
    aws, store = filled(5), MemoryJournals()
    killed(aws, store, sent=3, answered=answered)
    found, _ = moved(target(aws, store), aws)
    assert len(found) == 5 and not any(one.error for one in found)
    assert aws.bodies(DLQ) == []
    assert sorted(aws.bodies(QUEUE)) == [event(n) for n in range(5)]
    assert aws.visible(QUEUE) == 5


def test_the_edit_of_a_message_that_a_killed_redrive_has_sent_is_sent_too() -> None:
    aws, store = filled(1), MemoryJournals()
    killed(aws, store, sent=1, answered=1)
    moved(target(aws, store), aws, edited={aws.queues[DLQ][0].message_id: event(0, version=2)})
    assert aws.bodies(QUEUE) == [event(0), event(0, version=2)]


def test_the_queue_is_read_only_where_a_journal_leaves_it_open_and_no_longer_than_needed() -> None:
    # Given a killed redrive all of whose messages have the id with which they were sent
    aws, store = filled(2), MemoryJournals()
    killed(aws, store, sent=2, answered=2)
    found = Leftovers(target(aws, store), stop=Stop(), clock=aws.clock)
    assert set(found.sent(["m1", "m2", "m9"])) == {"m1", "m2"}
    assert all(m.receives == 0 for m in aws.queues[QUEUE])
    # Then one of which an answer is missing is looked for, until it is found
    aws, store = filled(2), MemoryJournals()
    killed(aws, store, sent=2, answered=1)
    for n in range(60):
        aws.put(QUEUE, event(50 + n))
    began = aws.now
    found = Leftovers(target(aws, store), stop=Stop(), clock=aws.clock)
    first, second = (m.message_id for m in aws.queues[QUEUE][:2])
    assert found.sent(["m1", "m2", "m9"]) == {"m1": first, "m2": second}
    assert (aws.now, aws.visible(QUEUE)) == (began, 62)
    assert sum(m.receives for m in aws.queues[QUEUE]) == 10


def test_a_message_that_was_not_sent_is_looked_for_some_seconds_only() -> None:
    # Given a killed redrive that sent nothing, and a message that a worker has
    aws, store = filled(2), MemoryJournals()
    killed(aws, store, sent=0, answered=0)
    aws.put(QUEUE, event(50))
    aws.queues[QUEUE][0].hidden_until = aws.now + 40_000
    began = aws.now
    assert Leftovers(target(aws, store), stop=Stop(), clock=aws.clock).sent(["m1", "m2"]) == {}
    assert 5 <= aws.now - began < 10


def test_a_message_of_a_run_is_recognised_by_its_id_or_by_the_runs_mark() -> None:
    def entry(message_id: str, sent_id: str = "") -> journal.Entry:
        return journal.Entry(message_id, Identity("e", 1), queues.Outgoing("{}", {}), sent_id)

    def message(message_id: str, mark: str = "") -> queues.Message:
        attributes = {wire.REDRIVE: queues.attribute(mark)} if mark else {}
        return queues.Message(message_id, "r", "{}", attributes, 1, 1)

    first, second = entry("m1", "s1"), entry("m2")
    sent = SentMessages("run", iter([first, second]))
    assert sent.entry(message("s1")) is first
    assert sent.entry(message("s1", "other#m2")) is first
    assert sent.entry(message("x", "run#m2")) is second
    assert sent.entry(message("x", "run#m1")) is None  # it was sent as s1
    assert sent.entry(message("x", "other#m2")) is None
    assert sent.entry(message("x", "run#m9")) is None
    assert sent.entry(message("x")) is None


def sweep(aws: FakeAws, **options: Any) -> Sweep:
    return Sweep(aws, DLQ, stop=Stop(), patience=Patience(30.0, clock=aws.clock), **options)


def test_a_claimed_message_stays_hidden_and_an_unclaimed_one_is_released() -> None:
    aws = filled(3)
    one = sweep(aws)
    (messages,) = list(one)
    ids = [m.message_id for m in messages]
    receipts = one.claim(ids[:2])
    assert list(receipts.values()) == [m.receipt for m in messages[:2]]
    one.unclaim({ids[0]: receipts[ids[0]]})
    one.release()
    assert [m.hidden_until <= aws.now for m in aws.queues[DLQ]] == [True, False, True]
    one.release()


def test_what_was_sent_after_the_start_is_in_no_round_and_released() -> None:
    aws = filled(2)
    one = sweep(aws)
    aws.put(DLQ, event(9))
    aws.queues[DLQ][-1].sent_at += 60_000
    rounds = [m.body for messages in one for m in messages]
    assert rounds == [event(0), event(1)]
    assert [m.body for m in one.newer.values()] == [event(9)]
    one.release()
    assert (aws.visible(DLQ), one.unseen) == (3, 0)


def test_a_failure_of_the_deletion_of_a_doubled_message_is_no_error() -> None:
    aws = filled(1)
    one = sweep(aws)
    rounds = iter(one)
    (message,) = next(rounds)
    one.claim([message.message_id])
    aws.queues[DLQ][0].hidden_until = 0

    def fault(operation: str, _when: str) -> None:
        if operation == "delete_message_batch":
            raise AwsError("sqs delete_message_batch: no", service_code="InternalError")

    aws.fault = fault
    assert list(rounds) == []


@pytest.mark.parametrize(
    ("visible_after", "hidden_s"),
    [(14.0, [15, 15]), (15.0, [15, 30]), (16.0, [15, 30])],
)
def test_messages_that_come_back_before_the_rest_are_hidden_for_twice_as_long(
    visible_after: float, hidden_s: list[int]
) -> None:
    # Given two messages that are received again after some seconds
    aws, asked = filled(1), list[int]()
    one = sweep(aws)
    rounds = iter(one)
    next(rounds)

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("receive_message", "after"):
            asked.extend(round(m.hidden_until - aws.now) for m in aws.queues[DLQ])

    aws.now += visible_after
    aws.queues[DLQ][0].hidden_until = 0
    aws.fault = fault
    assert list(rounds) == []
    aws.queues[DLQ][0].hidden_until = 0
    assert list(one) == []
    assert [asked[0], asked[-1]] == hidden_s


def test_messages_that_come_back_in_several_rounds_double_the_time_once() -> None:
    # Given 30 messages that a slow caller receives in three rounds, and which come back after their time
    aws, asked = filled(30), list[int]()
    one = sweep(aws)
    assert sum(len(messages) for messages in one) == 30
    aws.now += 15
    for message in aws.queues[DLQ]:
        message.hidden_until = 0

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("receive_message", "after"):
            asked.append(max(round(m.hidden_until - aws.now) for m in aws.queues[DLQ]))

    aws.fault = fault
    # When they are received again
    assert list(one) == []
    # Then a receive whose answer is lost hides messages no longer than that
    assert max(asked) == 30


def test_the_rate_counts_messages_and_goes_by_the_clock() -> None:
    aws = filled(30)
    began = aws.now
    found, _ = moved(target(aws), aws, rate=10.0)
    assert len(found) == 30 and 2 <= aws.now - began <= 4


class Traced(FakeAws):
    """Messages with a trace; remembers the system attributes of those that are sent."""

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        if operation == "send_message_batch":
            self.__dict__["system"] = [entry.get("MessageSystemAttributes") for entry in params["Entries"]]
        answer = super().call(service, operation, **params)
        for message in answer.get("Messages", ()) if operation == "receive_message" else ():
            message["Attributes"]["AWSTraceHeader"] = "Root=1-2"
        return answer


def test_an_event_goes_back_with_its_trace_and_the_journal_has_what_is_expected_of_it() -> None:
    aws, store = Traced(), MemoryJournals()
    for n in range(2):
        aws.put(DLQ, event(n))
    moved(target(aws, store), aws, edited={"m2": event(1, version=2)})
    assert aws.__dict__["system"] == [{"AWSTraceHeader": queues.attribute("Root=1-2")}] * 2
    digests = [entry.digest for entry in journal.load(store, store.runs()[-1]).entries.values()]
    assert digests == [parse(event(0), NOBODY).digest, parse(event(1, version=2), NOBODY).digest]


def test_what_an_aborted_redrive_was_about_to_send_is_reported_as_interrupted() -> None:
    aws, stop, over = filled(2), Stop(), threading.Event()

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("send_message_batch", "before"):
            stop.drain.set()
            stop.abort.set()
            over.wait(20)

    aws.fault, where = fault, target(aws)
    with journal.Writer(where, "redrive") as writer:
        selection = Selection(filters=Filters(), rate=None, edited={})
        found = list(Mover(where, selection, writer, stop=stop, clock=aws.clock).move())
    over.set()
    assert [(one.message.id, one.error) for one in found] == [("e0", "interrupted"), ("e1", "interrupted")]


class Dated(FakeAws):
    """SQS's answers with a date."""

    def _get_queue_attributes(self, QueueUrl: str, **_: Any) -> dict[str, Any]:
        answer = super()._get_queue_attributes(QueueUrl)
        return {**answer, "ResponseMetadata": {"HTTPHeaders": {"date": "Tue, 10 Mar 2026 12:00:00 GMT"}}}


def test_a_message_of_the_second_in_which_the_reading_began_is_in_a_round() -> None:
    aws, second = Dated(), parse_when("2026-03-10T12:00:00Z")
    for n, sent_at in enumerate((second + 999, second + 1000)):
        aws.put(DLQ, event(n))
        aws.queues[DLQ][-1].sent_at = sent_at
    one = sweep(aws)
    assert [m.body for messages in one for m in messages] == [event(0)]
    assert [m.body for m in one.newer.values()] == [event(1)]


class Unhidden(FakeAws):
    """SQS that gives out the messages of the DLQ again and again."""

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        answer = super().call(service, operation, **params)
        if operation == "receive_message":
            for message in self.queues[DLQ]:
                message.hidden_until = 0
        return answer


@pytest.mark.parametrize(("is_newer", "calls"), [(False, 1 + 102 + 2), (True, 1 + 102 + 1)])
def test_a_message_that_is_received_again_and_again_does_not_keep_a_sweep_from_its_end(
    is_newer: bool, calls: int
) -> None:
    # Given a message that is received a hundred times more than any that this sweep hides, from its start or newer
    aws = Unhidden()
    one = sweep(aws)
    aws.put(DLQ, event(0))
    aws.queues[DLQ][0].sent_at += 60_000 if is_newer else -60_000
    assert [len(messages) for messages in one] == ([] if is_newer else [1])
    assert aws.calls["receive_message"] == calls


def test_a_sweep_has_one_receiver_again_after_a_batch_that_is_not_full() -> None:
    aws = filled(15)
    assert [len(messages) for messages in sweep(aws)] == [10, 5]
    assert aws.calls["receive_message"] == 1 + 2 + 3


def test_hidden_messages_that_were_sent_after_the_start_are_not_waited_for() -> None:
    aws = filled(1)
    one = sweep(aws)
    for n in (1, 2):
        aws.put(DLQ, event(n))
        aws.queues[DLQ][-1].sent_at += 60_000
    aws.queues[DLQ][-1].hidden_until = aws.now + 40_000
    began = aws.now
    assert [len(messages) for messages in one] == [1]
    assert (one.unseen, aws.now - began < 10) == (0, True)


def test_each_claimed_message_that_sqs_delivers_again_is_deleted_again() -> None:
    aws = filled(3)
    one = sweep(aws)
    rounds = iter(one)
    ids = [m.message_id for m in next(rounds)]
    one.claim(ids[:1])
    one.claim(ids[1:2])
    for message in aws.queues[DLQ]:
        message.hidden_until = 0
    assert list(rounds) == []
    assert [m.message_id for m in aws.queues[DLQ]] == ids[2:]
