"""How messages are cut into batches that SQS takes, and what is known of them where a whole call fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from rtp.aws import queues
from rtp.aws.queues import Outgoing
from rtp.errors import AwsError
from rtp.ops.dlq import batches, notes
from rtp.runtime import wire
from rtp.runtime.dlqnote import ATTRIBUTE
from rtp.runtime.event import Identity
from tests.unit.deploy.fakes import FakeAws as Answers
from tests.unit.ops.fakes import QUEUE, FakeAws

if TYPE_CHECKING:
    from rtp.aws import Aws

LIMIT = wire.MAX_BATCH_BYTES


@pytest.mark.parametrize(
    ("sizes", "batches"),
    [
        ([1] * 10, 1),
        ([1] * 11, 2),
        ([1] * 30, 3),
        ([LIMIT], 1),
        ([LIMIT // 2, LIMIT - LIMIT // 2], 1),
        ([LIMIT // 2, LIMIT - LIMIT // 2 + 1], 2),
        ([LIMIT - 1, 1, 1], 2),
        ([LIMIT, LIMIT, 1], 3),
        ([LIMIT, LIMIT // 2, LIMIT - LIMIT // 2], 2),
        ([LIMIT // 3] * 7, 3),
    ],
)
def test_a_batch_holds_as_many_messages_and_bytes_as_sqs_takes(sizes: list[int], batches: int) -> None:
    aws = FakeAws()
    receipts = queues.send(aws, QUEUE, [Outgoing("x" * size, {}) for size in sizes])
    assert [len(body) for body in aws.bodies(QUEUE)] == sizes
    assert len(receipts) == len(sizes) and not any(receipt.error for receipt in receipts)
    assert aws.calls["send_message_batch"] == batches


def test_attributes_count_with_their_names_and_types() -> None:
    attributes = {"abc": queues.attribute("defgh")}
    assert Outgoing("äb", attributes).size == 3 + len("abc") + len("defgh") + len("String")


def test_what_a_failed_call_was_to_delete_counts_as_not_deleted_with_the_last_error() -> None:
    def delete(QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, object]:  # noqa: ARG001
        first = Entries[0]["ReceiptHandle"]
        if first != "r10":
            raise AwsError(f"no answer to {first}")
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    aws = cast("Aws", Answers({"delete_message_batch": delete}))
    left, error = batches.delete(aws, "q", [f"r{n}" for n in range(25)])
    assert left == {*(f"r{n}" for n in range(10)), *(f"r{n}" for n in range(20, 25))}
    assert error is not None and error.message == "no answer to r20"
    assert batches.delete(aws, "q", [f"r{n}" for n in range(10, 20)]) == (set(), None)
    assert batches.delete(aws, "q", []) == (set(), None)


@pytest.mark.parametrize(("noted", "expected"), [((), False), (("e1",), True), (("old",), False)])
def test_a_note_of_one_of_the_last_events_says_that_the_dlq_holds_something(
    noted: tuple[str, ...], expected: bool
) -> None:
    def get(RequestItems: dict[str, dict[str, list[dict[str, dict[str, str]]]]]) -> dict[str, object]:
        items = [
            {**key, "status": {"S": "dead"}, **({ATTRIBUTE: {"M": {}}} if key["id"]["S"] in noted else {})}
            for key in RequestItems["t"]["Keys"]
        ]
        return {"Responses": {"t": items}}

    aws = cast("Aws", Answers({"batch_get_item": get}))
    events = [Identity("old", 1), *(Identity(f"e{n}", n) for n in range(100))]
    assert notes.has_any(aws, "t", events) is expected


def in_tens(count: int) -> list[list[str]]:
    return [[f"r{n}" for n in range(start, min(start + 10, count))] for start in range(0, count, 10)]


class Calls(Answers):
    """SQS that remembers each call's receipts and fails those that begin with one of these."""

    def __init__(self, operation: str, *failing: str) -> None:
        self.seen: list[list[str]] = []
        self.options: list[dict[str, object]] = []
        self._failing = failing
        super().__init__({operation: self._answer})

    def _answer(self, QueueUrl: str, Entries: list[dict[str, object]]) -> dict[str, object]:
        assert QueueUrl == "q"
        receipts = [str(entry["ReceiptHandle"]) for entry in Entries]
        self.seen.append(receipts)
        self.options += Entries
        if receipts[0] in self._failing:
            raise AwsError(f"no answer to {receipts[0]}")
        return {}


@pytest.mark.parametrize("count", [0, 1, 10, 11, 20, 95])
def test_each_message_is_released_once_in_batches_of_ten(count: int) -> None:
    calls = Calls("change_message_visibility_batch")
    batches.release(cast("Aws", calls), "q", [f"r{n}" for n in range(count)])
    assert sorted(calls.seen) == sorted(in_tens(count))
    assert all(entry["VisibilityTimeout"] == 0 for entry in calls.options)


@pytest.mark.parametrize(("count", "failing", "last"), [(5, ("r0",), "r0"), (35, ("r0", "r20"), "r20")])
def test_the_other_batches_are_released_where_one_fails_and_the_last_error_is_raised(
    count: int, failing: tuple[str, ...], last: str
) -> None:
    calls = Calls("change_message_visibility_batch", *failing)
    with pytest.raises(AwsError, match=f"no answer to {last}$"):
        batches.release(cast("Aws", calls), "q", [f"r{n}" for n in range(count)])
    assert sorted(calls.seen) == sorted(in_tens(count))


@pytest.mark.parametrize("count", [0, 3, 10, 31])
def test_each_message_has_a_receipt_in_its_place(count: int) -> None:
    aws = FakeAws()
    aws.refused = {"b2"}
    receipts = batches.send(aws, QUEUE, [Outgoing(f"b{n}", {}) for n in range(count)])
    sent = {held.message_id: held.body for held in aws.queues[QUEUE]}
    assert [sent.get(receipt.message_id) for receipt in receipts] == [None if n == 2 else f"b{n}" for n in range(count)]
    assert [bool(receipt.error) for receipt in receipts] == [n == 2 for n in range(count)]
