"""The report of an incident: what is in it, in which order, and nothing of an event's data."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from markdown_it import MarkdownIt

from rtp.aws.alarms import StateChange
from rtp.commands.render import incident as render
from rtp.commands.render import incident_page
from rtp.ops.causes import Cause
from rtp.ops.dlq.runs import Stores
from rtp.ops.events import replay_journal
from rtp.ops.events.planned import Planned
from rtp.ops.telemetry.alarms import Alarms
from rtp.ops.telemetry.status import Unread
from rtp.ops.triage import incident, repaired
from rtp.ops.triage.failures import Failure
from rtp.ops.triage.incident import Incident, IncidentGroup, Moment, Proof
from rtp.ops.triage.memory import Note
from rtp.ops.triage.repaired import Seen
from rtp.ops.triage.report import ReadLogs
from rtp.terminal.markdown import parts
from rtp.text import times
from tests.unit.ops.fakes import TABLE, FakeAws, MemoryJournals

HOUR = 3_600_000
NOW = 1_800_000_000_000
REPLAYED = (("dead", "4f9a1c22"), ("processed", ""), ("dead", ""))
HOSTILE = '<script>alert("x")</script> | `rm` [a](b) \u202e\x1b[31m'


def failure(id: str = "e1", *, first: int = NOW, last: int = NOW, status: str = "dead") -> Failure:
    return Failure(id, NOW, "order", status, Cause("KeyError", "", "processors.py:24 price"), first, last, ("aaaa",))


def found(**changes: Any) -> Incident:
    group = IncidentGroup(
        "4f9a1c22", "order", "KeyError", "processors.py:24 price", times.iso(NOW), times.iso(NOW), "aaaa", 3, 2, 1, 0
    )
    moment = Moment(times.iso(NOW), "release", "deploy", "3 changes", "failed", "arn:aws:sts::1:assumed-role/Ops/ann")
    default = Incident(
        "shop", "prod", times.iso(NOW), times.iso(NOW + HOUR), [moment], [group], Proof(3, 2, 1, 0, 0, 0, 1), 3,
        more=False, logs=ReadLogs(12, times.iso(NOW), more=False), unread=[], at=times.iso(NOW),
    )  # fmt: skip
    return replace(default, **changes)


def test_an_event_counts_once_and_as_its_record_is_now() -> None:
    fixed = [Seen("g1", failure("a", status="processed")), Seen("g1", failure("b", status="processed"))]
    seen = incident.within([failure("b", status="dead")], fixed, NOW - HOUR, NOW)
    assert {each.failure.id: each.failure.status for each in seen} == {"a": "processed", "b": "dead"}


@pytest.mark.parametrize(
    ("first", "last", "is_in"),
    [
        (NOW - 2 * HOUR, NOW - HOUR - 1, False),
        (NOW - 2 * HOUR, NOW - HOUR, True),
        (NOW - 2 * HOUR, NOW + HOUR, True),
        (NOW, NOW, True),
        (NOW + 1, NOW + 2, False),
    ],
    ids=["ended-before", "ended-at-its-begin", "around", "at-its-end", "began-after"],
)
def test_failures_of_the_time_are_those_that_overlap_it(first: int, last: int, is_in: bool) -> None:
    assert bool(incident.within([failure(first=first, last=last)], [], NOW - HOUR, NOW)) is is_in


def test_moments_are_in_order_and_of_this_time() -> None:
    moments = [Moment(times.iso(NOW + n), "alarm", str(n)) for n in (5, 0, 3, 11, -1)]
    assert [m.what for m in incident.in_order(moments, NOW, NOW + 10)] == ["0", "3", "5"]


def test_the_commands_of_the_history_have_kinds() -> None:
    commands = ("deploy", "rollback", "dlq redrive", "dlq undo", "replay", "triage ack", "secrets set", "drill")
    assert [incident.kind(c) for c in commands] == [
        *("release", "release", "repair", "repair", "repair", "triage", "change", "change")
    ]


def test_a_repaired_event_has_the_cause_of_its_last_failed_attempt() -> None:
    attempts = [
        {"n": 1, "at": NOW - 3, "error": {"type": "OSError", "message": "m"}, "release": "aaaa"},
        {
            "n": 2,
            "at": NOW - 2,
            "error": {"type": "KeyError", "message": "'card'", "at": "p.py:1 f"},
            "release": "bbbb",
        },
        {"n": 3, "at": NOW - 1, "outcome": "processed", "release": "cccc"},
    ]
    record = {"id": "e", "timestamp": NOW, "type": "order", "status": "processed", "attempts": attempts}
    read = repaired.of_record(record)
    assert read is not None
    assert (read.status, read.cause, read.first, read.releases) == (
        "processed", Cause("KeyError", "", "p.py:1 f"), NOW - 2, ("bbbb",)
    )  # fmt: skip
    assert repaired.of_record({**record, "attempts": attempts[2:]}) is None


def test_the_events_of_a_replay_are_repaired_ones_with_the_cause_that_they_had_before_it() -> None:
    # Given a replay of an event that was dead, of one that had been processed, and of one by an older rtp
    aws, stores = FakeAws(), Stores(MemoryJournals(), MemoryJournals())
    events = [Planned(f"e{n}", n, "order", was, f"raw#{n}", group) for n, (was, group) in enumerate(REPLAYED)]
    replay_journal.begin(stores.replay, ("shop-dev", "1"), events).queued(events)
    error = {"type": "KeyError", "message": "'a'", "at": "p.py:1 f"}
    failed, ended = {"n": 1, "at": NOW, "error": error, "request_id": "r"}, {"n": 2, "at": NOW, "outcome": "processed"}
    for n in range(len(REPLAYED)):
        aws.record(f"e{n}", n, type="order", status="processed", attempts=[failed, ended])
    # Then those that had failed are repaired ones
    read = repaired.read(aws, TABLE, stores, ("shop-dev", "1"), since=0)
    by_id = {each.failure.id: each for each in read.seen}
    assert {id: each.failure.status for id, each in by_id.items()} == {"e0": "processed", "e2": "processed"}
    assert (by_id["e0"].group, by_id["e2"].group) == ("4f9a1c22", by_id["e2"].failure.group.id)
    assert by_id["e0"].failure.requests == {"r"}


def test_errors_of_the_logs_alone_are_no_events_and_are_said() -> None:
    group = replace(found().groups[0], events=0, processed=0, dead=0, logged=2)
    report = found(groups=[group], proof=Proof(0, 0, 0, 0, 0, 0, 0))
    assert render.proof(report) == "No event failed in this time; 2 errors in the logs alone."
    assert [m.detail for m in incident._failures(group)] == ["2 errors in the logs alone"]
    assert "2 in the logs alone" in incident_page.page(report)


def test_what_was_read_is_said() -> None:
    assert render.sources(found()) == "3 failures of records and journals, 12 error lines of the logs"
    partly = found(logs=ReadLogs(1_000, times.iso(NOW), more=True))
    expected = "the 1,000 newest error lines of the logs (since 2027-01-15 08:00:00, older ones may exist)"
    assert expected in render.markdown(partly) and expected in incident_page.page(partly)
    assert render.sources(found(logs=None)) == "3 failures of records and journals"


def test_the_proof_says_what_is_left() -> None:
    assert render.proof(found()) == ("3 events failed; now 2 processed, 1 dead; the dead-letter queue has 1 message.")
    whole = found(proof=Proof(3, 3, 0, 0, 0, 0, 0))
    assert render.proof(whole) == "3 events failed; all are processed now."
    assert render.proof(found(proof=Proof(0, 0, 0, 0, 0, None, None))) == "No event failed in this time."


def test_what_could_not_be_read_is_said() -> None:
    report = found(unread=[Unread("history", "There is no bucket")], more=True)
    for page in (render.markdown(report), incident_page.page(report)):
        assert "history: There is no bucket" in page.replace("Not", "not") and "More exists than was read" in page


def test_texts_of_others_have_no_meaning_in_the_pages() -> None:
    group = replace(found().groups[0], type=HOSTILE, error=HOSTILE, at="", notes=[Note(NOW, HOSTILE, "note", HOSTILE)])
    moment = Moment(times.iso(NOW), "repair", HOSTILE, HOSTILE, "failed", HOSTILE)
    report = found(groups=[group], moments=[moment])
    html = incident_page.page(report)
    assert "<script" not in html and "\x1b" not in html and "\u202e" not in html
    shown = render.markdown(report)
    assert "<script" not in shown.replace("\\<", "") and "\x1b" not in shown and "\u202e" not in shown
    (row,) = (line for line in shown.splitlines() if "repair" in line)
    assert row.replace("\\|", "").count("|") == 6


FORGED = [
    "| forged |\n\n# A heading",
    "[see](https://evil.example)",
    "[see](docs.md)",
    "https://evil.example/a",
    "www.evil.example",
    "&#x202e;elif",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("text", FORGED, ids=range(len(FORGED)))
def test_no_text_of_others_is_a_row_a_heading_a_link_or_a_hidden_character(text: str) -> None:
    group = replace(
        found().groups[0], id=text, type=text, error=text, at=text, release=text, said=text,
        notes=[Note(NOW, text, text, text)],
    )  # fmt: skip
    moment = replace(found().moments[0], what=text, detail=text, outcome=text, who=text, release=text)
    shown = render.markdown(found(groups=[group], moments=[moment]))
    from rich.console import Console

    # Then the Markdown has the text without a meaning
    plain = render.markdown(found(groups=[replace(group, notes=[Note(NOW, "a", "b", "c")])]))
    assert [line for line in shown.splitlines() if line.startswith("#")] == [
        line for line in plain.splitlines() if line.startswith("#")
    ]
    html = MarkdownIt("commonmark").enable("table").render(shown)
    assert "https:" not in shown and "www." not in shown  # what GitHub makes a link without a mark
    assert "<a " not in html and "\u202e" not in html and "<b>" not in html
    assert (html.count("<tr>"), html.count("<td>")) == (4, 5 + 10)
    # And a terminal has it as it was sent
    terminal = io.StringIO()
    console = Console(file=terminal, width=4000)
    for part in parts(shown):
        console.print(part.drawn)
    assert "\u202e" not in terminal.getvalue() and "rtp docs" not in terminal.getvalue()
    assert " ".join(text.split()) in " ".join(terminal.getvalue().split())


def test_alarms_that_only_got_data_are_left_out() -> None:
    at = datetime.fromtimestamp(NOW / 1000, UTC)
    states = ("INSUFFICIENT_DATA", "OK", "ALARM", "OK")
    changes = [StateChange("shop-prod-dlq-messages", at, *pair, "") for pair in pairwise(states)]
    moments = incident.alarm_moments(Alarms([], changes), "shop-prod")
    assert [m.what for m in moments] == ["dlq-messages fired", "dlq-messages is OK again"]
