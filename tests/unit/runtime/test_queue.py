"""The bodies and attributes of messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.runtime import errors, queue
from rtp.runtime.delivery import Delivery
from rtp.runtime.event import Emitted, Identity
from tests.unit.runtime.fakes import Sqs


def test_a_message_in_the_dlq_has_at_most_ten_attributes_and_the_reason_among_them() -> None:
    sqs = Sqs()
    received = {f"a{n}": {"dataType": "String", "stringValue": "x"} for n in range(10)}

    delivery = Delivery(body="{}", source="queue", fallback=Identity("m1", 1), attributes=received)

    queue.Queues(sqs, "queue", "dlq").dead_letter(delivery, errors.info("Reject", "why"))

    sent = sqs.of("send_message")[0]["MessageAttributes"]
    assert len(sent) == 10
    assert sent["rtp_error_message"]["StringValue"] == "why (attributes for which SQS has no room: a6, a7, a8, a9)"


def test_received_attributes_are_sent_unchanged() -> None:
    received = queue.sendable(
        {
            "s": {"dataType": "String.custom", "stringValue": "x"},
            "n": {"dataType": "Number", "stringValue": "1"},
            "b": {"dataType": "Binary", "binaryValue": "AQI="},
        }
    )

    assert received == {
        "s": {"DataType": "String.custom", "StringValue": "x"},
        "n": {"DataType": "Number", "StringValue": "1"},
        "b": {"DataType": "Binary", "BinaryValue": b"\x01\x02"},
    }


def test_emitted_events_are_sent_in_batches_that_sqs_accepts() -> None:
    sqs = Sqs()
    small = [Emitted(f"s{n}", 1, "t", {"n": n}, 1) for n in range(25)]
    large = [Emitted(f"l{n}", 1, "t", {"x": "x" * 100_000}, 1) for n in range(5)]

    queue.Queues(sqs, "queue", "dlq").emit([*small, *large])

    batches = [call["Entries"] for call in sqs.of("send_message_batch")]
    assert sum(len(batch) for batch in batches) == 30
    for batch in batches:
        assert len(batch) <= 10
        assert len({entry["Id"] for entry in batch}) == len(batch)
        assert sum(len(entry["MessageBody"]) for entry in batch) <= 256 * 1024


def test_a_character_that_sqs_does_not_carry_is_escaped_in_every_message() -> None:
    sqs, text = Sqs(), '{"type": "t", "data": {"x": "a\ufffe\uffffb"}}'
    delivery = Delivery(body=text, source="api", fallback=Identity("m1", 1))
    queues = queue.Queues(sqs, "queue", "dlq")

    queues.submit(delivery)
    queues.dead_letter(delivery, errors.info("Reject", "why"))
    queues.emit([Emitted("e", 1, "t", {"x": "a\ufffe\uffffb"}, 1)])

    bodies = [call["MessageBody"] for call in sqs.of("send_message")]
    bodies += [entry["MessageBody"] for entry in sqs.of("send_message_batch")[0]["Entries"]]
    assert len(bodies) == 3
    for body in bodies:
        assert r"a\ufffe\uffffb" in body
        assert json.loads(body)["data"] == json.loads(text)["data"]


def test_a_partly_accepted_batch_is_a_failure() -> None:
    class PartialSqs(Sqs):
        def send_message_batch(self, **_: object) -> dict[str, object]:
            return {"Failed": [{"Id": "0", "Message": "throttled"}]}

    with pytest.raises(queue.EmissionFailedError, match="throttled"):
        queue.Queues(PartialSqs(), "queue", "dlq").emit([Emitted("a", 1, "t", {}, 1)])


@given(st.text(max_size=2000))
def test_error_text_is_one_safe_line(text: str) -> None:
    safe_text = errors.describe(ValueError(text))

    assert len(safe_text.message) <= 500
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in safe_text.message)
    assert len(safe_text.signature) < 150


def test_similar_failures_have_one_signature() -> None:
    def signature(text: str) -> str:
        return errors.describe(ValueError(text)).signature

    assert signature("order 17 of 'bob' at 0x7f12") == signature("order 99 of 'eve' at 0xffff")
    assert signature("order 17 lost") != signature("order 17 found")
