"""Backoff, and what messages carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.runtime import errors, queue
from rtp.runtime.event import Emitted
from tests.unit.runtime.fakes import Sqs


@given(st.integers(1, 1000), st.integers(0, 900), st.integers(1, 43_200), st.floats(0, 1, exclude_max=True))
def test_backoff_doubles_within_its_bounds(receives: int, base: int, cap: int, chance: float) -> None:
    seconds = queue.backoff(receives, base=base, cap=cap, rng=lambda: chance)

    full = min(cap, base * 2.0 ** min(receives - 1, 40))
    assert full / 2 <= seconds <= full + 1
    assert isinstance(seconds, int)


def test_backoff_is_about_one_two_four_seconds() -> None:
    least = [queue.backoff(n, base=1, cap=300, rng=lambda: 0) for n in range(1, 6)]
    most = [queue.backoff(n, base=1, cap=300, rng=lambda: 0.999) for n in range(1, 6)]

    assert least == [1, 1, 2, 4, 8]
    assert most == [1, 2, 4, 8, 16]


def test_four_waits_outlast_an_outage_of_twelve_minutes() -> None:
    # The queue's visibility timeout, six times a function's 30 s, would wait 4 x 180 s.
    assert sum(queue.outage_backoff(n, rng=lambda: 0) for n in range(1, 5)) >= 720


def test_a_buried_message_has_at_most_ten_attributes_and_the_reason_among_them() -> None:
    sqs = Sqs()
    received = {f"a{n}": {"dataType": "String", "stringValue": "x"} for n in range(10)}

    queue.Queues(sqs, "queue", "dlq").bury(
        "{}", queue.sendable(received), errors.info("Reject", "why"), own={"rtp_source": "queue"}
    )

    sent = sqs.of("send_message")[0]["MessageAttributes"]
    assert len(sent) == 10
    assert sent["rtp_error_message"]["StringValue"] == "why"


def test_received_attributes_are_sent_as_they_were() -> None:
    made = queue.sendable(
        {
            "s": {"dataType": "String.custom", "stringValue": "x"},
            "n": {"dataType": "Number", "stringValue": "1"},
            "b": {"dataType": "Binary", "binaryValue": "AQI="},
        }
    )

    assert made == {
        "s": {"DataType": "String.custom", "StringValue": "x"},
        "n": {"DataType": "Number", "StringValue": "1"},
        "b": {"DataType": "Binary", "BinaryValue": b"\x01\x02"},
    }


def test_emitted_events_go_in_batches_that_sqs_takes() -> None:
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


def test_a_batch_that_was_taken_in_part_is_a_failure() -> None:
    class Partly(Sqs):
        def send_message_batch(self, **_: object) -> dict[str, object]:
            return {"Failed": [{"Id": "0", "Message": "throttled"}]}

    with pytest.raises(queue.EmissionFailedError, match="throttled"):
        queue.Queues(Partly(), "queue", "dlq").emit([Emitted("a", 1, "t", {}, 1)])


@given(st.text(max_size=2000))
def test_error_text_is_one_safe_line(text: str) -> None:
    kept = errors.describe(ValueError(text))

    assert len(kept.message) <= 500
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in kept.message)
    assert len(kept.signature) < 150


def test_like_failures_have_one_signature() -> None:
    def signature(text: str) -> str:
        return errors.describe(ValueError(text)).signature

    assert signature("order 17 of 'bob' at 0x7f12") == signature("order 99 of 'eve' at 0xffff")
    assert signature("order 17 lost") != signature("order 17 found")
