"""The records' notes of messages in the DLQ, as a repair removes and writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import record_notes, records
from rtp.aws.queues import Message, Outgoing, Receipt, attribute
from rtp.errors import AwsError
from rtp.ops.dlq import journal, notes
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.target import Target
from rtp.ops.journal_store import JournalFiles
from rtp.runtime import dlqnote
from rtp.runtime.dlqnote import DlqNote
from rtp.runtime.event import Identity
from rtp.text.times import now_ms
from tests.unit.ops.fakes import DLQ, OUTPUTS, TABLE, FakeAws, event

if TYPE_CHECKING:
    from pathlib import Path


def target(aws: FakeAws, place: Path) -> Target:
    return Target(aws=aws, outputs=OUTPUTS, stack="s", account="1", journals=JournalFiles(place))


def received(aws: FakeAws, number: int) -> Message:
    one = aws.queues[DLQ][number]
    return Message(one.message_id, "r", one.body, one.attributes, one.sent_at, 1)


def note(aws: FakeAws, number: int) -> dict[str, Any]:
    """The note on the record of an event; empty without one."""
    (record,) = records.by_keys(aws, TABLE, [(f"e{number}", number)])
    return record.get(dlqnote.ATTRIBUTE) or {}


def test_the_notes_of_messages_that_leave_the_dlq_are_removed_and_no_others(tmp_path: Path) -> None:
    # Given three dead events: one whose message is noted, one without a note, one with a note of another message
    aws = FakeAws()
    for n, noted in enumerate(("r0", "", "other")):
        aws.put(DLQ, event(n), rtp_request_id=f"r{n}")
        aws.record(f"e{n}", n, status="dead", **({"dlq_message": {"request_id": noted}} if noted else {}))
    messages = dlq.joined(aws, TABLE, [received(aws, n) for n in range(3)])
    assert [message.is_noted for message in messages] == [True, False, False]

    notes.forget(target(aws, tmp_path), messages)

    assert [note(aws, n) for n in range(3)] == [{}, {}, {"request_id": "other"}]
    # And without a noted message nothing is called
    calls = aws.calls.total()
    notes.forget(target(aws, tmp_path), messages[1:])
    assert aws.calls.total() == calls


def test_what_an_undo_has_sent_is_noted_with_its_request_or_message_a_new_age_and_its_digest(tmp_path: Path) -> None:
    # Given a message that names its request and one that does not
    aws, began = FakeAws(), now_ms()
    for n in range(2):
        aws.record(f"e{n}", n, status="dead")
    named = Outgoing(event(0), {"rtp_request_id": attribute("req-0"), "mine": attribute("x")})
    entries = [
        journal.Entry("m0", Identity("e0", 0), named),
        journal.Entry("m1", Identity("e1", 1), Outgoing(event(1), {})),
    ]

    notes.restored(target(aws, tmp_path), list(zip(entries, [Receipt("new-0"), Receipt("new-1")], strict=True)))

    found = [note(aws, n) for n in range(2)]
    assert [one["request_id"] for one in found] == ["req-0", "new-1"]
    assert [one["digest"] for one in found] == [dlqnote.digest(event(n)) for n in range(2)]
    assert all(began <= one["sent_at"] <= now_ms() for one in found)
    assert all(dlqnote.read(one) is not None and one["is_sent"] for one in found)


@pytest.mark.parametrize("code", ["", "AccessDeniedException"], ids=["statements", "single-writes"])
def test_a_note_is_written_where_the_record_is_dead_and_notes_no_other_message(code: str) -> None:
    def fault(operation: str, when: str) -> None:
        if code and (operation, when) == ("batch_execute_statement", "before"):
            raise AwsError("dynamodb batch_execute_statement: no", service_code=code)

    aws = FakeAws(fault=fault)
    for n, (status, noted) in enumerate((("dead", ""), ("dead", "mine"), ("dead", "other"), ("processed", ""))):
        aws.record(f"e{n}", n, status=status, **({"dlq_message": {"request_id": noted}} if noted else {}))

    record_notes.write(aws, TABLE, [((f"e{n}", n), DlqNote("mine", 7, "d")) for n in range(5)])

    assert [note(aws, n).get("sent_at") for n in range(4)] == [7, 7, None, None]
    assert note(aws, 2) == {"request_id": "other"}
    assert ("e4", "4") not in aws.items


def test_the_notes_of_many_records_are_written_a_batch_at_a_time() -> None:
    aws = FakeAws()
    for n in range(30):
        aws.record(f"e{n}", n, status="dead")

    record_notes.write(aws, TABLE, [((f"e{n}", n), DlqNote("mine", 7, "d")) for n in range(30)])

    assert all(note(aws, n) for n in range(30))
    assert aws.calls == {"batch_execute_statement": 2, "batch_get_item": 30}


@pytest.mark.parametrize(
    ("change", "is_there"),
    [
        ({}, True),
        ({"sent_at": now_ms() - 3 * 86_400_000}, True),
        ({"sent_at": now_ms() - 5 * 86_400_000}, False),  # SQS has deleted its message
        ({"is_sent": False}, False),
        ({"sent_at": "soon"}, False),
        ({"sent_at": None}, False),
    ],
    ids=["new", "kept", "expired", "not certain", "text", "nothing"],
)
def test_a_note_counts_while_sqs_keeps_its_message(change: dict[str, Any], is_there: bool) -> None:
    record = {dlqnote.ATTRIBUTE: {**DlqNote("r", now_ms(), "digest")._asdict(), **change}}
    assert notes.is_in_dlq(record, now=now_ms(), retention_days=4) == is_there
    assert not notes.is_in_dlq({}, now=now_ms(), retention_days=4)
    assert not notes.is_in_dlq({dlqnote.ATTRIBUTE: "forged"}, now=now_ms(), retention_days=4)
