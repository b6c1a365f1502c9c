"""The parts of an event's story that are read within a bound."""

from __future__ import annotations

from rtp.ops.telemetry.story import dlq_message_of
from rtp.ops.work.pool import Stop
from tests.unit.ops.fakes import DLQ, OUTPUTS, FakeAws, event


def test_a_long_dead_letter_queue_is_not_read_to_its_end_for_one_message() -> None:
    # Given a queue of 400 messages, the event's at its end
    aws = FakeAws()
    for n in range(400):
        aws.put(DLQ, event(n))
    # When
    found, gap = dlq_message_of(aws, OUTPUTS, "e399", stop=Stop(), most=100)
    # Then
    assert (found, gap) == (
        None,
        "the dead-letter queue: about 100 of 400 messages were read; `rtp dlq inspect --id` reads all",
    )
    assert sum(m.receives for m in aws.queues[DLQ]) < 200
    assert aws.visible(DLQ) == 400


def test_a_message_within_the_bound_is_found_and_a_short_queue_has_no_gap() -> None:
    aws = FakeAws()
    for n in range(40):
        aws.put(DLQ, event(n))
    found, gap = dlq_message_of(aws, OUTPUTS, "e20", stop=Stop(), most=100)
    assert found is not None and (found.id, gap) == ("e20", "")
    assert dlq_message_of(aws, OUTPUTS, "none", stop=Stop(), most=100) == (None, "")
