"""How messages are cut into batches that SQS takes."""

from __future__ import annotations

import pytest

from rtp.aws import queues
from rtp.aws.queues import Outgoing
from rtp.runtime import wire
from tests.unit.ops.fakes import QUEUE, FakeAws

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
