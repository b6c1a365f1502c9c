"""What an inspection of the DLQ reads, how far, and when the first of its messages is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import Output
from rtp.ops.dlq import inspect
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.filters import Filters
from rtp.ops.work.pool import Stop
from rtp.text.times import now_ms, parse_when
from tests.unit.ops.fakes import DLQ, OUTPUTS, FakeAws, event

if TYPE_CHECKING:
    from rtp.ops.dlq.inspect import Inspection

DAY_S = 86_400


class Dated(FakeAws):
    """SQS's answers with a date, and with the retention of a queue that keeps messages for four days."""

    def _get_queue_attributes(self, QueueUrl: str, **_: Any) -> dict[str, Any]:
        answer = super()._get_queue_attributes(QueueUrl)
        attributes = {**answer["Attributes"], "MessageRetentionPeriod": str(4 * DAY_S)}
        return {
            "Attributes": attributes,
            "ResponseMetadata": {"HTTPHeaders": {"date": "Tue, 10 Mar 2026 12:00:00 GMT"}},
        }


def filled(count: int, kind: type[FakeAws] = FakeAws) -> FakeAws:
    """Messages that were sent one after the other."""
    aws, now = kind(), now_ms()
    for n in range(count):
        aws.put(DLQ, event(n), rtp_error_type="E", rtp_error_message="m")
        aws.queues[DLQ][-1].sent_at = now - 1000 + n
    return aws


def inspected(aws: FakeAws, filters: Filters | None = None, *, limit: int = 1000, **options: Any) -> Inspection:
    patience = Patience(30.0, clock=aws.clock)
    options = {"patience": patience, **options}
    return inspect.inspect(aws, OUTPUTS, filters or Filters(), limit=limit, stop=Stop(), **options)


def test_the_depth_counts_hidden_messages_too() -> None:
    aws = filled(3)
    aws.queues[DLQ][0].hidden_until = aws.now + 99
    assert inspect.depth(aws, OUTPUTS) == 3


def test_an_inspection_ends_with_the_receive_that_fills_its_limit() -> None:
    aws, read = filled(40), list[int]()
    found = inspected(aws, limit=10, notify=read.append)
    assert (len(found.messages), found.depth, found.queue) == (10, 40, "dlq")
    assert (aws.calls["receive_message"], read) == (1, [10])
    # And one more needs one more
    found = inspected(aws, limit=11)
    assert (len(found.messages), sum(group.count for group in found.groups)) == (11, 11)


def test_what_does_not_match_is_read_and_not_shown() -> None:
    aws = filled(40)
    found = inspected(aws, Filters(ids=("e3", "e25")))
    assert ([m.id for m in found.messages], found.depth, found.unseen) == (["e3", "e25"], 40, 0)
    assert [(group.count, group.newest_id) for group in found.groups] == [(2, "e25")]


def test_the_oldest_messages_are_first_and_those_of_one_moment_in_the_order_of_their_ids() -> None:
    aws = filled(4)
    for message, sent_at in zip(aws.queues[DLQ], (3000, 1000, 2000, 1000), strict=True):
        message.sent_at = sent_at
    assert [m.id for m in inspected(aws).messages] == ["e1", "e3", "e2", "e0"]


def test_a_hidden_message_is_waited_for_only_where_it_may_be_one_that_is_named() -> None:
    aws = filled(4)
    aws.queues[DLQ][0].hidden_until = aws.now + 40_000
    began = aws.now
    found = inspected(aws, Filters(ids=("e2",)))
    assert ([m.id for m in found.messages], found.unseen) == (["e2"], 0)
    assert aws.now - began < 10
    # Then without a name for the whole time, and it is counted
    began = aws.now
    found = inspected(aws)
    assert (len(found.messages), found.unseen, found.depth) == (3, 1, 4)
    assert aws.now - began >= 30


def test_a_message_that_sqs_counted_too_late_is_in_the_depth() -> None:
    # Given four messages, of which SQS counts one at first, and two are hidden
    aws = filled(4)
    for message in aws.queues[DLQ][:2]:
        message.hidden_until = aws.now + 40_000
    aws.uncounted = 99

    def fault(operation: str, _when: str) -> None:
        if operation == "receive_message":
            aws.uncounted = 0

    aws.fault = fault
    found = inspected(aws)
    assert (len(found.messages), found.unseen, found.depth) == (2, 2, 4)


@pytest.mark.parametrize(("reappearing", "limit"), [(True, 10 + 2 * 5), (False, 5)])
def test_a_queue_that_gives_its_messages_again_and_again_is_read_to_twice_its_depth(
    reappearing: bool, limit: int
) -> None:
    # Given other messages at each receive, as where events die as fast as they are read
    aws = filled(5)

    def fault(operation: str, when: str) -> None:
        if reappearing and (operation, when) == ("receive_message", "after"):
            aws.put(DLQ, event(100 + len(aws.queues[DLQ])))

    aws.fault = fault
    found = inspected(aws)
    assert limit <= len(found.messages) < limit + 5


def test_the_first_deadlines_count_from_sqs_clock_and_the_queues_retention() -> None:
    # Given a queue that keeps messages for four days, and two dead events, one with its raw event
    aws = filled(2, Dated)
    now = parse_when("2026-03-10T12:00:00Z")
    aws.queues[DLQ][0].sent_at = now - 3 * DAY_S * 1000
    aws.queues[DLQ][1].sent_at = now - DAY_S * 1000
    aws.record("e1", 1, status="dead", raw_key="raw/2026/03/10/11/x.ndjson.gz#3")
    found = inspected(aws)
    assert (found.at, found.retention_s, found.deadlines) == (now, 4 * DAY_S, None)

    deadlines = inspect.with_deadlines(found, 7).deadlines

    assert deadlines is not None
    assert (deadlines.message, deadlines.raw) == ("2026-03-11T12:00:00.000Z", "2026-03-18T00:00:00.000Z")
    assert deadlines.first == "message"
    later = inspect.with_deadlines(found, 30).deadlines
    assert later is not None and later.raw == "2026-04-10T00:00:00.000Z"
    assert inspect.with_deadlines(found, 7).messages == found.messages


def test_without_a_date_the_own_clock_counts_and_without_a_retention_the_longest() -> None:
    began = now_ms()
    found = inspected(filled(1))
    assert began <= found.at <= now_ms()
    assert found.retention_s == 14 * DAY_S


def test_an_empty_queue_has_no_deadline() -> None:
    found = inspect.inspect(FakeAws(), {**OUTPUTS, Output.DLQ_URL: DLQ}, Filters(), limit=9, stop=Stop())
    assert (found.messages, found.depth) == ([], 0)
    assert inspect.with_deadlines(found, 7).deadlines is None
