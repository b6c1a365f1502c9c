"""What a redrive, and its dry run, report of each message."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import AwsError, RefusedError
from rtp.ops import run_marks
from rtp.ops.access import lease
from rtp.ops.dlq import journal
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.outcomes import Pending
from rtp.ops.dlq.redrive import (
    Canary,
    Failure,
    LeftOut,
    Redriven,
    RedrivenMessage,
    RedriveRequest,
    Report,
    preview,
    redrive,
)
from rtp.ops.dlq.target import Target
from rtp.ops.journal_store import JournalFiles
from rtp.ops.run_marks import Operator
from rtp.ops.work.pool import Stop
from rtp.runtime.event import Identity, parse
from tests.unit.ops.fakes import DLQ, OUTPUTS, QUEUE, TABLE, FakeAws, Held, event

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rtp.ops.dlq.redrive import Step


def target(aws: FakeAws, place: Path) -> Target:
    return Target(aws=aws, outputs=OUTPUTS, stack="s", account="1", journals=JournalFiles(place))


def filled(count: int) -> FakeAws:
    """Dead events, each of which has had three attempts."""
    aws = FakeAws()
    for n in range(count):
        aws.put(DLQ, event(n))
        aws.record(f"e{n}", n, status="dead", attempt_count=3, error={"type": "E", "message": "before"})
    return aws


def work(aws: FakeAws, **values: Any) -> None:
    """A worker that ends each event as soon as it is sent; its record has the digest of what was sent."""

    def end(operation: str, when: str) -> None:
        if (operation, when) != ("send_message_batch", "after"):
            return
        for sent in aws.queues[QUEUE]:
            found = parse(sent.body, Identity("", 0))
            record = {"status": "processed", "attempt_count": 4, "digest": found.digest, **values}
            aws.record(found.id, found.timestamp, type=found.type, **record)
        aws.queues[QUEUE].clear()

    aws.fault = end


def redriven(
    aws: FakeAws,
    place: Path,
    filters: Filters | None = None,
    *,
    stop: Stop | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
    notify: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Report:
    request = RedriveRequest(filters=filters or Filters(), **{"timeout_s": 1.0, **options})
    steps = redrive(target(aws, place), request, stop=stop or Stop(), notify=notify, clock=aws.clock)
    while True:
        try:
            on_step(next(steps))
        except StopIteration as ended:
            report: Report = ended.value
            return report


def test_a_dry_run_reports_what_would_be_redriven_and_changes_nothing(tmp_path: Path) -> None:
    aws, read = filled(5), list[int]()
    request = RedriveRequest(filters=Filters(ids=("e1", "e3", "gone")))
    patience = Patience(3.0, clock=aws.clock)

    report = preview(target(aws, tmp_path), request, stop=Stop(), notify=read.append, patience=patience)

    assert report == Report(
        run=None,
        dry_run=True,
        messages=[RedrivenMessage(f"m{n + 1}", f"e{n}", n, "order.created") for n in (1, 3)],
        missing=["gone"],
    )
    assert (aws.visible(DLQ), aws.bodies(QUEUE), read[-1]) == (5, [], 5)


def test_a_dry_run_reads_to_its_limit_and_waits_for_hidden_messages_as_long_as_it_is_said(tmp_path: Path) -> None:
    aws = filled(5)
    aws.queues[DLQ][0].hidden_until = aws.now + 40_000
    where, patience = target(aws, tmp_path), Patience(100.0, clock=aws.clock)
    began = aws.now
    report = preview(where, RedriveRequest(filters=Filters(), limit=2), stop=Stop(), patience=patience)
    assert (len(report.messages), report.unseen, aws.now) == (2, 0, began)
    report = preview(where, RedriveRequest(filters=Filters()), stop=Stop(), patience=patience)
    assert (len(report.messages), report.unseen, aws.now - began) == (4, 1, 100)


def test_a_dry_run_that_is_stopped_calls_nothing_missing(tmp_path: Path) -> None:
    aws, stop = filled(1), Stop()
    stop.drain.set()
    report = preview(target(aws, tmp_path), RedriveRequest(filters=Filters(ids=("gone",))), stop=stop)
    assert (report.messages, report.missing, aws.calls["receive_message"]) == ([], [], 0)


def test_a_report_names_what_was_sent_and_what_was_not(tmp_path: Path) -> None:
    # Given five messages, one that SQS refuses, and one whose sender's ten attributes leave no room
    aws, counts = filled(5), list[int]()
    aws.refused = {event(2)}
    for n in range(10):
        aws.queues[DLQ][3].attributes[f"a{n}"] = {"DataType": "String", "StringValue": "x"}

    report = redriven(
        aws,
        tmp_path,
        Filters(ids=("e0", "e2", "e3", "gone")),
        canary=False,
        on_step=lambda step: counts.append(step.count) if isinstance(step, Redriven) else None,
    )

    assert (report.dry_run, report.redriven, report.died_again, report.unseen) == (False, 2, 0, 0)
    assert report.messages == [RedrivenMessage(f"m{n + 1}", f"e{n}", n, "order.created") for n in (0, 3)]
    assert [(one.message_id, one.id) for one in report.failed] == [("m3", "e2")]
    assert isinstance(report.failed[0], Failure) and "not today" in report.failed[0].error
    assert report.left_out == [LeftOut("m4", "e3", ["a9"])]
    assert (report.missing, report.has_failures, report.kept, counts) == (["gone"], True, 0, [1, 1, 2])
    assert report.run is not None and JournalFiles(tmp_path).runs() == [report.run]
    assert report.run.split("-")[1] == "redrive"
    assert (report.outcomes, report.pending, report.canary) == ({}, 0, None)


def test_messages_that_were_sent_and_not_deleted_are_counted(tmp_path: Path) -> None:
    aws = filled(12)

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("delete_message_batch", "before"):
            raise AwsError("sqs delete_message_batch: no", service_code="InternalError")

    aws.fault = fault
    report = redriven(aws, tmp_path, canary=False)
    assert (report.redriven, report.kept, report.has_failures) == (12, 12, False)
    assert aws.visible(DLQ) == 12


def test_a_message_that_returns_to_the_dlq_during_the_run_has_died_again(tmp_path: Path) -> None:
    # Given a canary that is processed, and whose message is delivered once more and dies; and a message of a client
    aws = filled(1)

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("send_message_batch", "after"):
            (sent,) = aws.queues[QUEUE]
            aws.record("e0", 0, status="processed", attempt_count=4)
            aws.queues[DLQ].append(Held("again", sent.body, sent.attributes, sent.sent_at + 5_000))
            aws.put(DLQ, event(9))
            aws.queues[DLQ][-1].sent_at += 5_000
            aws.queues[QUEUE].clear()

    aws.fault = fault
    report = redriven(aws, tmp_path)
    assert report.canary == Canary("e0", 0, "processed")
    assert (report.redriven, report.died_again, report.unseen) == (1, 1, 0)


def test_messages_that_stay_hidden_are_in_the_report_and_said_while_they_are_waited_for(tmp_path: Path) -> None:
    aws, remarks = filled(3), list[str]()
    aws.queues[DLQ][0].hidden_until = aws.now + 40_000
    report = redriven(aws, tmp_path, canary=False, notify=remarks.append)
    assert (report.redriven, report.unseen, len(remarks)) == (2, 1, 1)


@pytest.mark.parametrize("options", [{"limit": 2}, {"edited": {"m1": event(0, version=1)}}])
def test_where_not_all_are_redriven_no_id_is_missing(tmp_path: Path, options: dict[str, Any]) -> None:
    aws = filled(4)
    report = redriven(aws, tmp_path, Filters(ids=("e0", "gone")), canary=False, **options)
    assert (report.redriven, report.missing) == (1, [])


def test_a_redrive_that_is_stopped_calls_nothing_missing(tmp_path: Path) -> None:
    stop = Stop()
    stop.drain.set()
    report = redriven(filled(4), tmp_path, Filters(ids=("gone",)), stop=stop)
    assert (report.redriven, report.missing, report.stopped) == (0, [], "")


def test_the_canary_is_one_message_and_the_rest_is_not_waited_for_unless_it_is_asked_for(tmp_path: Path) -> None:
    aws = filled(4)
    work(aws)
    report = redriven(aws, tmp_path, Filters(ids=("e1", "e2", "gone")))
    assert report.canary == Canary("e1", 1, "processed")
    assert (report.redriven, report.outcomes, report.pending, report.stopped) == (2, {}, 0, "")
    assert (report.missing, report.has_failures) == (["gone"], False)


def test_a_canary_of_another_event_stops_the_redrive(tmp_path: Path) -> None:
    # Given another event under the canary's identity, which has been processed
    aws = filled(3)
    work(aws, digest="another")
    report = redriven(aws, tmp_path, Filters(ids=("e1", "gone")))
    assert report.canary == Canary("e1", 1, "conflict")
    assert (report.redriven, report.outcomes, report.dead, report.missing) == (1, {"conflict": 1}, [], [])
    assert report.stopped.startswith("another event has the canary's id and timestamp") and report.has_failures


def test_an_event_that_is_in_conflict_with_another_is_a_failure(tmp_path: Path) -> None:
    aws = filled(3)
    work(aws, digest="another")
    report = redriven(aws, tmp_path, canary=False, wait=True)
    assert (report.outcomes, report.stopped, report.has_failures) == ({"conflict": 3}, "", True)


def test_an_edited_event_is_the_one_whose_outcome_is_waited_for(tmp_path: Path) -> None:
    aws = filled(2)
    work(aws)
    report = redriven(aws, tmp_path, canary=False, wait=True, edited={"m2": event(1, version=7)})
    assert (report.outcomes, report.has_failures) == ({"processed": 2}, False)


def test_a_canary_without_an_outcome_is_pending_and_the_time_is_said(tmp_path: Path) -> None:
    report = redriven(filled(3), tmp_path, timeout_s=0.1)
    assert report.canary == Canary("e0", 0, "pending")
    assert (report.redriven, report.pending, report.outcomes) == (1, 1, {})
    assert report.stopped == "the canary had no outcome within 0.1 s" and report.has_failures


def test_a_canary_whose_waiting_is_interrupted_is_no_failure(tmp_path: Path) -> None:
    aws, stop = filled(3), Stop()

    def interrupt(step: Step) -> None:
        if isinstance(step, Pending):
            stop.drain.set()

    report = redriven(aws, tmp_path, stop=stop, timeout_s=60, on_step=interrupt)
    assert report.canary == Canary("e0", 0, "pending")
    assert (report.redriven, report.pending, report.stopped, report.has_failures) == (1, 0, "", False)


def test_the_rest_is_waited_for_where_it_is_asked_for_and_its_dead_events_are_in_the_report(tmp_path: Path) -> None:
    aws, pending = filled(4), list[Pending]()
    aws.refused = {event(3)}

    def end(operation: str, when: str) -> None:
        if (operation, when) == ("send_message_batch", "after"):
            for sent in aws.queues[QUEUE]:
                n = json.loads(sent.body)["timestamp"]
                status = {0: "processed", 1: "dead"}.get(n, "processing")
                error = {"type": "E", "message": "new"} if status == "dead" else None
                aws.record(f"e{n}", n, status=status, type="order.created", attempt_count=4, error=error)
            aws.queues[QUEUE].clear()

    aws.fault = end
    report = redriven(
        aws,
        tmp_path,
        canary=False,
        wait=True,
        timeout_s=0.1,
        on_step=lambda step: pending.append(step) if isinstance(step, Pending) else None,
    )
    assert (report.redriven, report.outcomes, report.pending) == (3, {"processed": 1, "dead": 1}, 1)
    assert [record["id"] for record in report.dead] == ["e1"]
    assert (report.dead_of_another_cause, report.stopped) == (1, "")
    # And what is pending has begun its next attempt, so that its record's error is still the old one
    assert {(step.record["id"], step.is_before, step.is_error_old) for step in pending} == {("e2", False, True)}


def test_others_see_that_a_redrive_holds_the_lease(tmp_path: Path) -> None:
    aws = filled(1)
    held: list[str] = []

    def look(_: Step) -> None:
        with pytest.raises(RefusedError, match="`rtp dlq redrive`"), lease.held(aws, TABLE, "dlq undo", Stop()):
            held.append("nobody")

    redriven(aws, tmp_path, canary=False, on_step=look)
    assert held == []


def test_a_slow_redrive_hides_its_messages_for_longer(tmp_path: Path) -> None:
    aws, hidden = filled(30), list[float]()

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("receive_message", "after"):
            hidden.append(aws.queues[DLQ][0].hidden_until - aws.now)

    aws.fault = fault
    redriven(aws, tmp_path, limit=1, rate=30.0)
    assert hidden[0] == 16


def test_a_redrive_that_another_operator_stops_says_who(tmp_path: Path) -> None:
    aws, stop, store = filled(300), Stop(), JournalFiles(tmp_path)

    def ask(_: Step) -> None:
        if not stop.drain.is_set():
            run_marks.ask_to_stop(store, store.runs()[0], 1, Operator("", "bob", "lap"))
            assert stop.drain.wait(20)

    report = redriven(aws, tmp_path, limit=200, canary=False, stop=stop, on_step=ask)
    assert report.stopped_by == "bob@lap"
    assert report.redriven + len(aws.bodies(DLQ)) == 300


def test_a_redrive_leaves_for_other_machines_how_it_ended(tmp_path: Path) -> None:
    aws, stop = filled(3), Stop()

    def marked(report: Report) -> dict[str, Any]:
        mark = JournalFiles(tmp_path).marked(report.run or "", "1-end")
        found: dict[str, Any] = json.loads(mark.content) if mark else {}
        return found

    aws.refused = {event(2)}
    report = redriven(aws, tmp_path, canary=False, options={"every": True})
    assert marked(report) == {"done": 2, "state": "ended", "failed": 1, "why": "", "stopped_by": ""}
    assert journal.load(JournalFiles(tmp_path), str(report.run)).options == {"every": True}
    # And a canary without an outcome, as an interrupt, cuts a run short
    report = redriven(filled(2), tmp_path, timeout_s=0.0)
    assert marked(report)["state"] == "interrupted" and marked(report)["why"] == report.stopped != ""
    report = redriven(filled(30), tmp_path, canary=False, stop=stop, on_step=lambda _: stop.drain.set())
    assert marked(report)["state"] == "interrupted"
    # And a continued run keeps its name
    continued = journal.Continued(report.run or "", 2, frozenset())
    assert redriven(filled(2), tmp_path, canary=False, resumed=continued).run == report.run


@pytest.mark.parametrize(
    ("values", "has_failures"),
    [
        ({}, False),
        ({"kept": 1, "died_again": 1, "pending": 1, "missing": ["e1"], "outcomes": {"processed": 1}}, False),
        ({"failed": [Failure("m1", "e1", "no")]}, True),
        ({"dead": [{}]}, True),
        ({"stopped": "x"}, True),
        ({"outcomes": {"conflict": 1}}, True),
    ],
)
def test_what_counts_as_a_failure(values: dict[str, Any], has_failures: bool) -> None:
    assert Report(run="r", **values).has_failures is has_failures
