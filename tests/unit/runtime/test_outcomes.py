"""The outcome of a delivery, and whether its message is done with it."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.runtime import outcomes
from rtp.runtime.claims import Claim, Conflicting, Ending, Leased, Processed
from rtp.runtime.dlqnote import DlqNote
from rtp.runtime.event import Event
from rtp.runtime.outcomes import Busy, Conflict, Duplicate, Outage, Settled
from rtp.runtime.verdict import judge

NOTE = DlqNote("r1", 1, "d")
CLAIM = Claim("token", 2, [], 77.0)


@pytest.mark.parametrize(
    ("cause", "is_last", "is_covered", "done"),
    [
        (None, False, False, True),
        (ValueError("no"), False, False, False),
        (ValueError("no"), True, False, False),  # SQS moves the message
        (ValueError("no"), True, True, True),  # another one of the event is in the DLQ
    ],
)
def test_a_settled_attempt_is_done_unless_its_message_is_delivered_again_or_moved(
    cause: Any, is_last: bool, is_covered: bool, done: bool
) -> None:
    verdict = judge(cause, None, is_last=is_last)
    event = Event[Any](type="a", data={})
    found = outcomes.settled(Ending(event, None, CLAIM, verdict, NOTE, is_covered))  # type: ignore[arg-type]
    assert found == Settled(verdict, 77.0, NOTE, is_covered)
    assert found.is_done is done
    without = outcomes.settled(Ending(event, None, None, verdict))  # type: ignore[arg-type]
    assert without == Settled(verdict, 0, None, False)


def test_an_outage_is_not_done_and_nobody_can_claim_the_event_before_its_lease_ends() -> None:
    cause = OSError("no")
    assert outcomes.outage("store", cause, CLAIM) == Outage("store", cause, 77.0)
    assert outcomes.outage("claim", cause) == Outage("claim", cause, 0)
    assert not Outage("claim", cause).is_done


def test_a_processed_event_is_a_duplicate_with_what_its_record_has_of_the_result() -> None:
    record = {"result": {"n": 1}, "result_key": "results/1", "trace_id": "1-2"}
    found = outcomes.taken(Processed(record), "m1")
    assert found == Duplicate({"n": 1}, "results/1", "1-2") and found.is_done
    assert outcomes.taken(Processed({}), "m1") == Duplicate(None, "", "", False)


def test_a_conflict_is_done_and_says_the_records_status() -> None:
    found = outcomes.taken(Conflicting("processing"), "m1")
    assert isinstance(found, Conflict) and found == Conflict("processing") and found.is_done
    assert found.error.type == "IdentityConflict"
    assert "is processing, " in str(found.cause) and found.error.message == str(found.cause)


@pytest.mark.parametrize(
    ("by", "message_id", "absorbed"),
    [("m1", "m2", True), ("m1", "m1", False), ("", "m2", False), ("m1", "", False), ("", "", False)],
)
def test_a_delivery_is_absorbed_by_that_of_another_message_of_the_event(
    by: str, message_id: str, absorbed: bool
) -> None:
    found = outcomes.taken(Leased(5.0, by), message_id)
    assert found == Busy(5.0, by, is_absorbed=absorbed) == outcomes.busy(5.0, by, message_id)
    assert found.is_done is absorbed
