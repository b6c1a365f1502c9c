"""The screen of an incident: what is red, what changed before, how queues move, the groups, what to run next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rtp.commands.render import triage as render
from rtp.errors import NotFoundError
from rtp.ops.dlq.deadlines import Deadlines
from rtp.ops.history import Entry
from rtp.ops.telemetry.status import Unread
from rtp.ops.triage import changes, report
from rtp.ops.triage.actions import Done
from rtp.ops.triage.changes import RecentChange
from rtp.ops.triage.motion import Motion
from rtp.ops.triage.report import FailureGroup, FiringAlarm, Newest, ReadLogs, Triage
from rtp.ops.triage.source import SourceLine
from rtp.terminal.draw import flat
from rtp.text import times

NOW = times.parse_when("2027-01-15T09:00:00Z")
GROUP = FailureGroup(
    id="0becbc52",
    state="new",
    type="order.created",
    error="KeyError: *",
    at="processors.py:8 price",
    count=2_000,
    dead=1_900,
    waiting=100,
    logged=0,
    last_1h=1_500,
    last_3h=1_600,
    last_24h=1_800,
    last_7d=2_000,
    share=0.4,
    first="2027-01-15T08:40:00Z",
    last="2027-01-15T08:59:00Z",
    release="3f2a9c01bd77",
    releases=["3f2a9c01bd77"],
    newest=Newest("01890a5d-ac96-774b-bcce-b302099a8057", "KeyError: 'JPY'"),
    source=[SourceLine(7, "def price(event):", fails=False), SourceLine(8, "    return rates[x]", fails=True)],
)
CHANGE = RecentChange(
    "2027-01-15T08:39:00Z", "run", "deploy", "succeeded", "3f2a9c01bd77", "arn:aws:iam::1:user/ann", "fewer currencies"
)
TRIAGE = Triage(
    env="prod",
    red=[FiringAlarm("dlq-messages", "2027-01-15T08:42:00Z", "1,900 messages, limit 1")],
    changes=[CHANGE, replace(CHANGE, at="2027-01-14T08:00:00Z", release="aaaaaaaaaaaa", reason="")],
    groups=[GROUP],
    queues=[Motion("q", 300, 100, 20.0, None), Motion("d", 1_900, 1_900, 0.0, None)],
    deadlines=Deadlines("2027-01-29T08:40:00Z", None, "message"),
    release="3f2a9c01bd77",
    local_differs=None,
    read=2_000,
    more=True,
    messages=0,
    logs=ReadLogs(12, "2027-01-14T09:00:00Z", more=False),
    unread=[],
    at="2027-01-15T09:00:00Z",
)


def screen(found: Triage = TRIAGE) -> list[str]:
    return [flat(row) for row in render.elements(found, now=NOW)]


def test_one_screen_has_the_alarm_the_change_the_queues_and_the_deadline() -> None:
    text = "\n".join(screen())
    head = screen()[0]
    assert head.startswith("triage prod: 1 open group, of the 2,000 newest failures (more exist)")
    assert "✗ dlq-messages  for 18m" in text and "1,900 messages, limit 1" in text
    assert "changed" in text and "release 3f2a9c01bd77  by ann  fewer currencies" in text
    assert "300 messages, growing by 20 a minute" in text and "1,900 messages, steady" in text
    assert "expires  the first message in 13d23h" in text


def test_a_group_has_count_share_trend_times_release_line_and_a_real_message() -> None:
    text = "\n".join(screen())
    assert "0becbc52  new  order.created  KeyError: 'JPY'" in text
    assert "2,000 failures (1,900 dead, 100 waiting), 40 % of the type's events in 24h" in text
    assert "1,500 in 1h, 1,600 in 3h, 1,800 in 24h, 2,000 in 7d" in text
    assert "since release 3f2a9c01bd77, first " in text and ", last " in text
    assert "  processors.py:8 price" in text and "  7  def price(event):" in text and "→ 8      return rates[x]" in text


def test_what_to_run_next_is_said_literally() -> None:
    commands = [row.strip().removeprefix("next  ").split("  #")[0] for row in screen() if " rtp " in row]
    assert commands == [
        "rtp triage 0becbc52",
        "rtp rollback",
        "rtp rehearse --group=0becbc52",
        "rtp dlq redrive --group=0becbc52 --wait",
    ]


def test_what_could_not_be_read_is_said() -> None:
    unread = Unread("logs", "AccessDenied")
    assert "not read: logs AccessDenied" in screen(replace(TRIAGE, logs=None, unread=[unread]))


def test_a_group_is_found_by_its_id_or_a_beginning_that_only_one_has() -> None:
    found = replace(TRIAGE, groups=[GROUP, replace(GROUP, id="0bec0000")])
    assert report.one(found, "0becb") is GROUP
    for part in ("0bec", "ffff"):
        with pytest.raises(NotFoundError):
            report.one(found, part)


def test_the_changes_are_those_before_the_first_failure_and_since() -> None:
    def entry(hour: int, command: str = "deploy", outcome: str = "succeeded") -> Entry:
        return Entry(f"run{hour}", command, f"2027-01-15T{hour:02}:00:00Z", outcome)

    entries = [
        entry(9),
        entry(8, outcome="refused"),
        entry(7, "rollback"),
        entry(6, "dlq redrive"),
        *(entry(hour) for hour in (5, 4, 3)),
    ]
    first = times.parse_when("2027-01-15T06:30:00Z")
    assert [c.run for c in changes.relevant(entries, [first, first + 1])] == ["run9", "run7", "run5", "run4"]
    assert [c.run for c in changes.relevant(entries, [])] == ["run9", "run7"]


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (Done("0becbc52", "acked", "ann"), "0becbc52 is acked for as long as nobody says otherwise"),
        (Done("0becbc52", "acked", "ann", until_count=100), "0becbc52 is acked for 100 more failures"),
        (Done("0becbc52", "muted", "ann"), "0becbc52 is muted until failures come ten times as fast"),
        (
            Done("0becbc52", "muted", "ann", until_count=1),
            "0becbc52 is muted for 1 more failure, or until they come ten times as fast",
        ),
        (
            Done("0becbc52", "resolved", "ann", release="3f2a9c01bd77"),
            "0becbc52 is resolved in release 3f2a9c01bd77: a failure of it or of a later one is a regression",
        ),
        (Done("0becbc52", "reopened", "ann"), "0becbc52 is reopened and needs somebody again"),
        (Done("0becbc52", "note", "ann"), "0becbc52: the note is kept"),
    ],
)
def test_what_was_said_and_when_that_ends_is_shown(done: Done, expected: str) -> None:
    assert [flat(row) for row in render.said(done)] == [expected]
