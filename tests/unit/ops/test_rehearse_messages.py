"""DLQ messages without a record, or whose archived text has expired: which are rehearsed, and which are named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rtp.commands.render import rehearse as render
from rtp.ops.dlq import unrecorded
from rtp.ops.events.record_filters import RecordFilters
from rtp.ops.rehearse import messages
from rtp.ops.rehearse.compare import compared, skipped
from rtp.ops.rehearse.interpreter import Ran
from rtp.ops.rehearse.report import Findings
from rtp.ops.rehearse.selection import Request, Seen, Texts
from rtp.ops.triage import dead_messages
from rtp.ops.work import pool
from rtp.ops.work.pool import Stop
from rtp.terminal.draw import flat
from tests.unit.ops.fakes import BUCKET, DLQ, OUTPUTS, FakeAws, event

FAILED = {"type": "KeyError", "message": "'total'", "signature": "KeyError: *"}


@pytest.fixture
def aws() -> FakeAws:
    """A DLQ with the messages of three events, of which the first has a record that notes it."""
    made = FakeAws()
    for n in (1, 2, 3):
        made.put(DLQ, event(n))
    made.record("e1", 1, status="dead", attempt_count=3, type="order.created", error=FAILED)
    return made


def read(aws: FakeAws, *, noted: int = 1, lost: Any = (), **request: Any) -> messages.Candidates:
    made = Request(**{"limit": 10, **request})
    return messages.read(aws, OUTPUTS, made, Seen(noted), lost, most=10, stop=Stop(), clock=aws.clock)


def ids(found: messages.Candidates) -> list[str]:
    return [str(candidate.record["id"]) for candidate in found.events]


def test_messages_without_a_record_are_run_as_dead_events(aws: FakeAws) -> None:
    found = read(aws)
    assert ids(found) == ["e2", "e3"]
    assert [(c.record["status"], c.text, bool(c.message_id)) for c in found.events] == [
        ("dead", event(2), True),
        ("dead", event(3), True),
    ]
    # And all of them are visible again
    assert aws.visible(DLQ) == 3


def test_the_queue_is_received_only_if_it_has_more_than_the_records_name(aws: FakeAws) -> None:
    assert read(aws, noted=3) == messages.Candidates()
    assert read(aws, statuses=("processed",)) == messages.Candidates()
    assert aws.calls["receive_message"] == 0


class Lagging(FakeAws):
    """Counts the messages of some time ago in its first answers."""

    late: int = 0  # answers

    def _get_queue_attributes(self, QueueUrl: str, **named: Any) -> dict[str, Any]:
        answer = super()._get_queue_attributes(QueueUrl, **named)
        if self.late:
            self.late -= 1
            answer["Attributes"]["ApproximateNumberOfMessages"] = "1"
        return answer


@pytest.mark.parametrize(("late", "found"), [(1, ["e1", "e2"]), (2, ["e1", "e2"]), (9, [])])
def test_a_count_of_before_the_newest_messages_is_asked_again(late: int, found: list[str]) -> None:
    aws = Lagging()
    for n in (1, 2):
        aws.put(DLQ, event(n))
    aws.consistent, aws.late = False, late
    before = aws.now
    assert ids(read(aws)) == found
    assert aws.now - before >= 2.0 * min(late, 2)
    # And where counts are exact, it is asked once
    aws.consistent, aws.late = True, 1
    assert ids(read(aws)) == []


def test_the_filters_select_messages_too(aws: FakeAws) -> None:
    aws.put(DLQ, event(4), rtp_error_type="Reject", rtp_error_message="no")
    assert ids(read(aws, filters=RecordFilters(error="reject"))) == ["e4"]
    assert ids(read(aws, kind="other")) == []
    assert ids(read(aws, since=3, until=3)) == ["e3"]
    assert ids(read(aws, filters=RecordFilters(release="abcd"))) == []


def test_of_named_events_the_reading_ends_with_the_last_of_them(aws: FakeAws) -> None:
    for n in range(4, 400):
        aws.put(DLQ, event(n))
    made = Request(limit=10, ids=("e1", "e2"))
    found = messages.read(aws, OUTPUTS, made, Seen(0, {"e1"}), [], most=9, stop=Stop())
    assert ids(found) == ["e2"] and aws.calls["receive_message"] < 10
    # And where every one of them has a record, nothing is received
    aws.calls.clear()
    made = Request(limit=10, ids=("e1",))
    assert messages.read(aws, OUTPUTS, made, Seen(0, {"e1"}), [], most=9, stop=Stop()) == messages.Candidates()
    assert aws.calls["receive_message"] == 0


def test_a_text_that_the_archive_has_no_longer_is_taken_from_the_message(aws: FakeAws) -> None:
    lost = [{"id": "e1", "timestamp": 1, "status": "dead"}, {"id": "e9", "timestamp": 9, "status": "dead"}]
    found = read(aws, noted=3, lost=lost)
    assert [(c.record, c.text, c.message_id) for c in found.events] == [(lost[0], event(1), "")]
    assert found.left == [lost[1]]


def test_no_more_messages_are_kept_than_asked_for(aws: FakeAws) -> None:
    found = unrecorded.read(aws, OUTPUTS, lambda message: not message.runs, most=1, limit=10, stop=Stop())
    assert (len(found.messages), found.more) == (1, True)


def test_messages_that_are_no_events_are_named() -> None:
    findings = Findings()
    record = {"id": "m7", "timestamp": 1, "type": "", "status": "dead"}
    findings.unseen = 2
    findings.add(skipped(record, "its text is no event, which no code changes", message_id="m7"))
    findings.add(replace(compared(record, Ran("processed", "order"), None), message_id="m8"))
    report = findings.report()
    assert (report.messages, report.no_events, report.unseen, report.is_good) == (1, ["m7"], 2, True)
    text = "\n".join(flat(row) for row in render.rehearsal(report, "local"))
    assert "messages that are no events: m7" in text
    assert "2 messages of the dead-letter queue could not be read" in text


def test_triage_has_the_messages_without_a_record_and_those_in_conflict(aws: FakeAws) -> None:
    aws.put(DLQ, event(1, version=2), rtp_error_type="IdentityConflict", rtp_error_message="other data")
    found = dead_messages.read(aws, OUTPUTS, depth=4, noted=1)
    assert [(f.id, f.status, f.cause.type) for f in found.failures] == [
        ("e2", "dead", ""),
        ("e3", "dead", ""),
        ("e1", "dead", "IdentityConflict"),
    ]
    assert found.unread == 0
    # Where the records name all of them, none is received
    aws.calls.clear()
    assert dead_messages.read(aws, OUTPUTS, depth=4, noted=4).failures == []
    assert not aws.calls


def test_triage_reads_a_part_of_a_large_queue_and_says_so(aws: FakeAws) -> None:
    found = dead_messages.read(aws, OUTPUTS, depth=1_000, noted=0)
    assert found.unread == 800


def test_threads_that_need_one_object_of_the_archive_read_it_once(aws: FakeAws) -> None:
    key = "raw/2027/01/15/08/request.ndjson"
    rows = [{"id": f"e{n}", "timestamp": n, "received_at": n, "body": event(n)} for n in range(40)]
    aws.objects[key] = "\n".join(map(json.dumps, rows)).encode()
    texts = Texts(aws, BUCKET)
    records = [{"id": f"e{n}", "timestamp": n, "raw_key": f"{key}#{n}"} for n in range(40)]
    assert list(pool.map(texts.of, records, threads=8)) == [event(n) for n in range(40)]
    assert aws.calls["get_object"] == 1
