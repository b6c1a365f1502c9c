"""When a reading of a queue ends: what is counted, waited for, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.ops.dlq import batches, peek
from rtp.ops.dlq.ending import Ending, Patience
from rtp.ops.dlq.sweep import Sweep
from rtp.ops.work.pool import Stop
from rtp.text.times import now_ms, parse_when
from tests.unit.ops.fakes import DLQ, FakeAws

COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Counting(FakeAws):
    """SQS's counts, as a test sets them."""

    counts = (0, 0, 0)

    def _get_queue_attributes(self, QueueUrl: str, **_: Any) -> dict[str, Any]:
        assert QueueUrl == DLQ
        return {"Attributes": {name: str(count) for name, count in zip(COUNTS, self.counts, strict=True)}}


def counting(visible: int, in_flight: int = 0, delayed: int = 0, *, consistent: bool = False) -> Counting:
    aws = Counting()
    aws.counts, aws.consistent = (visible, in_flight, delayed), consistent
    return aws


def ending(aws: FakeAws, seconds: float = 30.0, **options: Any) -> Ending:
    return Ending(aws, DLQ, Patience(seconds, clock=aws.clock, **options), stop=Stop())


def turns(aws: FakeAws, one: Ending, **options: Any) -> list[float]:
    """The pauses until the end is reached."""
    pauses: list[float] = []
    while True:
        before = aws.now
        if one.reached(**options):
            return pauses
        pauses.append(round(aws.now - before, 3))


def test_the_end_is_that_nothing_is_counted_three_times_in_a_row() -> None:
    aws = counting(0, 3)
    one = ending(aws)
    assert turns(aws, one, held=3, seen=3) == [2.0, 2.0]
    assert one.unseen == 0
    # And a message that comes in between begins the count anew
    one = ending(aws)
    assert [one.reached(held=3, seen=3) for _ in range(2)] == [False, False]
    one.continued()
    assert turns(aws, one, held=3, seen=3) == [2.0, 2.0]


@pytest.mark.parametrize(
    ("consistent", "unread", "seen", "pause"),
    [(True, 0, 3, 0.1), (True, 0, 2, 2.0), (False, 0, 3, 2.0), (True, 1, 3, 2.0)],
)
def test_the_pauses_are_short_only_where_an_emulators_counts_have_been_right(
    consistent: bool, unread: int, seen: int, pause: float
) -> None:
    aws = counting(unread, 3 - unread, consistent=consistent)
    assert turns(aws, ending(aws), held=3 - unread, seen=seen)[0] == pause


def test_a_reading_begins_at_the_end_of_the_second_of_sqs_clock() -> None:
    class Dated(Counting):
        def _get_queue_attributes(self, QueueUrl: str, **_: Any) -> dict[str, Any]:
            date = {"HTTPHeaders": {"date": "Tue, 10 Mar 2026 12:00:00 GMT"}}
            return {**super()._get_queue_attributes(QueueUrl), "ResponseMetadata": date}

    one = ending(Dated())
    assert (one.started_ms, one.unseen) == (parse_when("2026-03-10T12:00:00.999Z"), 0)
    began = now_ms()
    assert began <= ending(counting(1)).started_ms <= now_ms()


def test_a_hidden_message_is_waited_for_from_the_start_of_the_reading_on() -> None:
    aws, remarks = counting(0, 5), list[str]()
    one = ending(aws, 90, notify=remarks.append)
    aws.now += 20
    # Then for the rest of the time, and whoever waits is told once
    assert sum(turns(aws, one, held=3, seen=3)) == 70
    assert one.unseen == 2
    assert remarks == ["waiting up to 70 s for 2 messages hidden by another receiver"]


@pytest.mark.parametrize(("seconds", "waited"), [(30, 30), (600, 60)])
def test_a_reading_that_took_long_waits_until_the_counts_have_settled(seconds: float, waited: float) -> None:
    aws = counting(0, 5)
    one = ending(aws, seconds)
    aws.now += 10_000
    assert sum(turns(aws, one, held=3, seen=3)) == waited


def test_what_is_hidden_is_waited_for_once_and_not_again_after_each_message() -> None:
    aws = counting(0, 5)
    one = ending(aws, 90)
    assert not one.reached(held=3, seen=3)
    aws.now += 200
    one.continued()
    assert one.reached(held=4, seen=4)


@pytest.mark.parametrize(
    ("in_flight", "held", "full"),
    [
        (118_000, 59_001, True),
        (118_001, 59_001, True),
        (118_000, 59_000, False),  # another receiver has half of them
        (118_001, 59_000, False),
        (117_999, 100_000, False),
    ],
)
def test_sqs_gives_out_no_more_where_this_reading_holds_most_of_what_may_be_in_flight(
    in_flight: int, held: int, full: bool
) -> None:
    aws = counting(500, in_flight)
    assert ending(aws).reached(held=held, seen=held) is full


def test_messages_that_were_sent_after_the_start_are_not_waited_for() -> None:
    # Given four messages at the start, two of them hidden, and three that came since
    aws = counting(4)
    one = ending(aws)
    aws.counts = (3, 4, 0)
    assert not one.reached(held=3, seen=2, has_newer=True)
    assert one.unseen == 2
    # Then once all four are there, the others do not count, now and later
    assert turns(aws, one, held=5, seen=4) == [2.0, 2.0]
    assert one.unseen == 0


def test_delayed_messages_count_and_fewer_than_held_are_none() -> None:
    aws = counting(0, 0, 2)
    one = ending(aws, 0)
    assert (one.start, one.reached(held=0, seen=0), one.unseen) == (2, True, 2)
    assert (one.reached(held=9, seen=2), one.unseen) == (False, 0)


def test_nothing_hidden_is_waited_for_once_enough_was_received() -> None:
    aws = counting(0, 5)
    one = ending(aws, is_enough=lambda: True)
    assert turns(aws, one, held=3, seen=3) == [2.0, 2.0]
    assert one.unseen == 0


def test_a_stop_ends_a_reading_in_its_pause() -> None:
    aws, stop = counting(0, 5), Stop()
    one = Ending(aws, DLQ, Patience(30.0, clock=aws.clock), stop=stop)
    stop.drain.set()
    assert one.reached(held=3, seen=3)


@pytest.mark.parametrize(
    ("count", "rate", "seconds"),
    [(0, None, 15), (99, None, 15), (100, None, 16), (1000, 2.0, 525), (1000, 1.0, 600), (10, 20.0, 15)],
)
def test_messages_are_hidden_for_as_long_as_the_reading_of_all_takes(
    count: int, rate: float | None, seconds: int
) -> None:
    assert peek.hidden_s(count, rate) == seconds


def held(aws: FakeAws, count: int) -> None:
    for n in range(count):
        aws.put(DLQ, f"b{n}")


def test_a_peek_reads_to_its_limit_and_leaves_each_message_visible() -> None:
    aws, read = FakeAws(), list[int]()
    held(aws, 30)
    patience = Patience(30.0, clock=aws.clock)
    found = peek.peek(aws, DLQ, limit=10, stop=Stop(), notify=read.append, patience=patience)
    assert (found.messages, found.count, found.unseen, read) == ([], 10, 0, [10])
    assert (aws.calls["receive_message"], aws.visible(DLQ)) == (1, 30)
    found = peek.peek(aws, DLQ, limit=31, stop=Stop(), notify=read.append, patience=patience, keep=True)
    assert [m.body for m in found.messages] == [f"b{n}" for n in range(30)]
    assert read[1:3] == [10, 30] and aws.visible(DLQ) == 30


def test_a_peek_counts_what_it_could_not_read() -> None:
    aws = FakeAws()
    held(aws, 4)
    aws.queues[DLQ][0].hidden_until = aws.now + 40_000
    found = peek.peek(aws, DLQ, limit=50, stop=Stop(), patience=Patience(30.0, clock=aws.clock))
    assert (found.count, found.unseen) == (3, 1)


class Receiving(FakeAws):
    """Remembers the parameters of each receive."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.asked: list[dict[str, Any]] = []

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        if operation == "receive_message":
            self.asked.append(params)
        return super().call(service, operation, **params)


@pytest.mark.parametrize(("consistent", "wait_s"), [(True, 0), (False, 1)])
def test_a_receive_waits_so_that_it_asks_all_servers_but_of_a_consistent_emulator(
    consistent: bool, wait_s: int
) -> None:
    aws = Receiving()
    aws.consistent = consistent
    held(aws, 25)
    assert len(batches.receive(aws, DLQ, visibility_s=40, count=1)) == 10
    assert len(batches.receive(aws, DLQ, visibility_s=40, count=3)) == 15
    assert [(p["VisibilityTimeout"], p["WaitTimeSeconds"], p["QueueUrl"]) for p in aws.asked] == [(40, wait_s, DLQ)] * 4
    assert aws.visible(DLQ) == 0


def test_a_sweep_has_more_receivers_while_their_batches_are_full() -> None:
    # Given receivers that double up to eight while each gets ten messages
    aws = FakeAws()
    held(aws, 10 + 20 + 40 + 80 + 80 + 5)
    sweep = Sweep(aws, DLQ, stop=Stop(), patience=Patience(30.0, clock=aws.clock))
    rounds = [len(messages) for messages in sweep]
    assert rounds == [10, 20, 40, 80, 80, 5]
    sweep.release()
    assert aws.visible(DLQ) == 235
