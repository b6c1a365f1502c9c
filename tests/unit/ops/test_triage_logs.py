"""Errors that only the functions' logs have: what is one failure, what a record has already, and how much is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.aws.logs import LogLine
from rtp.commands.render import triage as render
from rtp.ops.causes import Cause
from rtp.ops.history import Entry
from rtp.ops.telemetry import frames
from rtp.ops.triage import changes, error_lines, logged, logs_alone
from rtp.ops.triage.failures import LOGGED, Failure
from rtp.ops.triage.report import FailureGroup, Newest, ReadLogs, Triage
from rtp.ops.work.clock import Clock
from rtp.terminal.draw import flat
from tests.unit.watch.fakes import OUTPUTS, PROCESSOR, START, WORKER, FakeLogs, Time, throttled

if TYPE_CHECKING:
    from rtp.aws import Aws

A, B = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
TRACE = (
    'Traceback (most recent call last):\r  File "/var/task/rtp/runtime/running.py", line 9, in call\r'
    "  File \"/var/task/orders/price.py\", line 12, in cents\rKeyError: 'total'"
)
REPORT = f"REPORT RequestId: {A}\tDuration: 9 ms\tBilled Duration: 9 ms\tMemory Size: 128 MB\tMax Memory Used: "
EXITED = f"RequestId: {A} Error: Runtime exited with error: signal: killed\nRuntime.ExitError"
IMPORT = "[ERROR] Runtime.ImportModuleError: Unable to import module 'worker': No module named 'pandas'"


def rtp_line(**fields: Any) -> str:
    return json.dumps({"level": "ERROR", "step": "log", "message": "m", "request_id": A, **fields})


def failures(*messages: str, stream: str = "s") -> list[Failure]:
    lines = [LogLine(START + n, text, stream, str(n)) for n, text in enumerate(messages)]
    return list(logged.failures(lines, "worker"))


def causes(*messages: str) -> list[str]:
    return [failure.cause.text for failure in failures(*messages)]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([IMPORT], ["Runtime.ImportModuleError: Unable to import module 'worker': No module named 'pandas' (worker)"]),
        (
            [f"2026-11-27T23:00:00.000Z {A} Task timed out after 10.02 seconds", f"{REPORT}50 MB\tStatus: timeout"],
            ["TimedOut: Task timed out after 10.02 seconds (worker)"],
        ),
        ([f"{REPORT}50 MB\tStatus: timeout"], ["TimedOut: the time limit was over (worker)"]),
        (
            [EXITED, f"{REPORT}128 MB\tStatus: error\tError Type: Runtime.OutOfMemory"],
            ["Runtime.OutOfMemory: 128 of 128 MB were used (worker)"],
        ),
        (
            [EXITED, f"{REPORT}128 MB\tStatus: error\tError Type: Runtime.ExitError"],
            ["Runtime.OutOfMemory: 128 of 128 MB were used (worker)"],
        ),
        (
            [EXITED, f"{REPORT}50 MB\tStatus: error\tError Type: Runtime.ExitError"],
            ["Runtime.ExitError: Runtime exited with error: signal: killed (worker)"],
        ),
        ([TRACE], ["KeyError: 'total'"]),
        ([rtp_line(message="partner 17 is down")], ["LoggedError: partner 17 is down"]),
        ([rtp_line(error_type="KeyError", error="'a'", message="no a")], ["KeyError: 'a'"]),
        ([rtp_line(step="claim", error_type="ProvisionedThroughput")], ["ProvisionedThroughput: m"]),
        ([rtp_line(step="dead"), rtp_line(step="failed"), rtp_line(level="WARNING")], []),
        (['{"_aws": {}, "level": "ERROR"}', f"{REPORT}50 MB", "a print about no ERROR"], []),
        (["[ERROR] something else"], ["LoggedError: something else"]),
    ],
    ids=range(13),
)
def test_the_lines_of_one_invocation_are_one_failure(messages: list[str], expected: list[str]) -> None:
    assert causes(*messages) == expected


def test_a_start_that_lambda_tries_twice_is_one_failure_and_the_report_has_its_request() -> None:
    init = "INIT_REPORT Init Duration: 9 ms\tPhase: init\tStatus: error\tError Type: Runtime.ImportModuleError"
    report = f"{REPORT}50 MB\tStatus: error\tError Type: Runtime.ImportModuleError"
    (found,) = failures(IMPORT, init, IMPORT, init, report)
    assert (set(found.requests), found.cause.type, found.status) == ({A}, "Runtime.ImportModuleError", LOGGED)


def test_failures_of_several_requests_are_separate() -> None:
    other = f"2026-11-27T23:00:00.000Z {B} Task timed out after 10.02 seconds"
    found = failures(other.replace(B, A), other)
    assert [failure.requests for failure in found] == [{A}, {B}]
    assert len({failure.group for failure in found}) == 1
    # And tracebacks that are printed one after the other
    assert causes(TRACE, TRACE) == ["KeyError: 'total'"] * 2


def test_values_are_taken_out_of_what_processors_log() -> None:
    found = failures(rtp_line(message="partner 17 is down"), rtp_line(message="partner 18 is down"))
    assert (
        len({failure.group for failure in found}) == 1 and found[0].cause.signature == "LoggedError: partner * is down"
    )


@pytest.mark.parametrize(
    ("stack", "at"),
    [
        (TRACE.replace("\r", "\n"), "orders/price.py:12 cents"),
        ("/var/task/rtp/runtime/x.py:1 f\n/var/task/p.py:3 price\n/opt/python/lib.py:4 g", "p.py:3 price"),
        ("/tmp/ministack-lambda-x1/code/p.py:3 price", "p.py:3 price"),
        ("/opt/python/lib.py:4 g", ""),
        ("/var/task/site-packages/lib.py:4 g", ""),
        ("", ""),
        ("no frame", ""),
    ],
    ids=range(7),
)
def test_the_innermost_line_of_the_project_names_a_cause(stack: str, at: str) -> None:
    assert frames.place(stack) == at


def recorded(**values: Any) -> Failure:
    made = Failure("e1", 1, "order", "dead", Cause("KeyError", "'total'", "orders/price.py:9 cents"), 1, 2, ())
    return replace(made, **values)


def alone(messages: list[str], *records: Failure, events: dict[str, list[str]] | None = None) -> list[Failure]:
    return logs_alone.alone(logs_alone.Read(failures(*messages), events or {}), records)


def test_what_a_record_has_counts_once() -> None:
    timed_out = f"2026-11-27T23:00:00.000Z {A} Task timed out after 10.02 seconds"
    own = rtp_line(event_id="e1", event_type="order", message="cannot price")
    # An event whose failure was read, an invocation that attempted one, or whose events include one
    assert alone([own], recorded()) == []
    assert alone([timed_out], recorded(requests=frozenset({A}))) == []
    assert alone([timed_out], recorded(), events={A: ["e0", "e1"]}) == []
    # A traceback that a processor printed before it raised, and the text of a record
    assert alone([TRACE], recorded()) == []
    assert (
        alone(
            ["[ERROR] Exception: p cannot be imported"], recorded(cause=Cause("ProcessorError", "p cannot be imported"))
        )
        == []
    )
    # Anything else is in the logs alone
    assert [f.id for f in alone([own], recorded(id="e2"))] == ["e1"]
    assert [f.id for f in alone([timed_out], recorded(), events={A: ["e7"]})] == ["e7"]
    assert len(alone([TRACE], recorded(cause=Cause("ValueError", "x")))) == 1


def test_an_event_that_logs_an_error_in_each_attempt_counts_once_from_its_first_line() -> None:
    line = rtp_line(event_id="e1", event_type="order", message="partner 17 is down")
    (found,) = alone([line, line, line])
    assert (found.first, found.last) == (START, START + 2)


def clock_of(time: Time) -> Clock:
    return Clock(monotonic=lambda: time.ms / 1000, sleep=time.sleep)


def read(fake: FakeLogs) -> logs_alone.Read:
    return logs_alone.read(cast("Aws", fake), OUTPUTS, now=fake.clock.ms, clock=clock_of(fake.clock))


def test_the_newest_lines_are_read_and_no_more_than_the_limit() -> None:
    fake = FakeLogs(Time(START + 3_600_000), page=10_000)
    for n in range(5_000):
        fake.put(WORKER, n * 700, rtp_line(event_id=f"e{n}"))
    found = read(fake)
    assert (found.lines, found.more) == (error_lines.MOST, True)
    assert found.failures[-1].id == "e4999" and found.failures[0].id == "e4000"
    assert found.since == START + 4_000 * 700
    assert len(fake.calls) <= 40


def test_dead_events_do_not_crowd_out_what_only_the_logs_have() -> None:
    fake = FakeLogs(Time(START + 60_000), page=10_000)
    fake.put(WORKER, 0, IMPORT)
    fake.put(PROCESSOR, 0, rtp_line(event_id="e1"))
    for n in range(5_000):
        fake.put(WORKER, n + 1, rtp_line(step="dead", event_id=f"d{n}"))
    found = read(fake)
    assert (found.lines, found.more) == (2, False)
    assert {failure.cause.type for failure in found.failures} == {"Runtime.ImportModuleError", "LoggedError"}


def test_reading_ends_when_its_time_is_over_and_says_from_when_all_was_read() -> None:
    class Slow(FakeLogs):
        def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
            self.clock.ms += 1_000
            return super().call(service, operation, **params)

    fake = Slow(Time(START + 7_200_000), page=10_000)
    fake.put(WORKER, 0, IMPORT)
    fake.put(WORKER, 7_000_000, rtp_line(event_id="e1"))
    found = read(fake)
    assert [failure.id for failure in found.failures] == ["e1"]
    assert found.more and found.since >= START + 7_200_000 - error_lines.SPANS_MS[0]
    assert len(fake.calls) <= 2 * len(error_lines.OF_FUNCTIONS)


def test_lines_of_another_time_than_the_last_day_are_read_where_that_is_asked_for() -> None:
    day = 86_400_000
    fake = FakeLogs(Time(START + 3 * day), page=10_000)
    for n in range(3):
        fake.put(WORKER, n * day, rtp_line(event_id=f"e{n}"))

    def of(since: int, now: int) -> list[str]:
        found = logs_alone.read(cast("Aws", fake), OUTPUTS, now=now, since=since, clock=clock_of(fake.clock))
        assert found.since == since and not found.more
        return [failure.id for failure in found.failures]

    assert of(START, START + 3 * day) == ["e0", "e1", "e2"]
    assert of(START + day - 1_000, START + day + 1_000) == ["e1"]


def test_a_log_group_that_does_not_exist_has_no_lines_and_a_throttled_one_is_an_error() -> None:
    fake = FakeLogs(Time(START + 60_000))
    fake.groups.clear()
    assert (read(fake).lines, read(fake).more) == (0, False)
    fake.failures = [throttled()] * 8
    with pytest.raises(type(throttled())):
        read(fake)


def test_the_events_of_an_invocation_that_lambda_ended_are_found_by_its_lines() -> None:
    fake = FakeLogs(Time(START + 60_000), page=100)
    for n, (request, event) in enumerate([(A, "e1"), (A, "e2"), (B, "e3")]):
        fake.put(WORKER, n, rtp_line(level="INFO", step="received", request_id=request, event_id=event))
    fake.put(WORKER, 10, f"2026-11-27T23:00:00.000Z {A} Task timed out after 10.02 seconds")
    assert read(fake).events == {A: ["e1", "e2"]}


def test_the_release_that_ran_then_is_that_of_the_last_change_that_had_ended() -> None:
    def deploy(at: str, release: str, outcome: str = "succeeded") -> Entry:
        return Entry("run", "deploy", at, outcome, duration_s=60.0, release=release)

    entries = [
        deploy("2027-01-15T08:20:00Z", "r3", "failed"),
        deploy("2027-01-15T08:10:00Z", "r2"),
        deploy("2027-01-15T08:00:00Z", "r1"),
    ]
    at = START + 600_000  # 2027-01-15T08:10:00Z
    assert [changes.running_at(at + s * 1000, entries) for s in (-601, -539, 59, 60, 3600)] == [
        "",
        "r1",
        "r1",
        "r2",
        "r2",
    ]


GROUP = FailureGroup(
    id="0becbc52",
    state="new",
    type="",
    error="TimedOut: *",
    at="",
    count=3,
    dead=0,
    waiting=0,
    logged=3,
    last_1h=3,
    last_3h=3,
    last_24h=3,
    last_7d=3,
    share=None,
    first="2027-01-15T08:00:00Z",
    last="2027-01-15T08:00:00Z",
    release="",
    releases=[],
    newest=Newest("", "TimedOut: Task timed out", A),
)


def screen(logs: ReadLogs | None, *, whole: bool = False) -> str:
    found = Triage("prod", [], [], [GROUP], [], None, "", None, 12, False, 0, logs, [], "2027-01-15T08:00:00Z")
    rows = render.one(GROUP, found, now=START) if whole else render.elements(found, now=START)
    return "\n".join(flat(row) for row in rows)


def test_the_first_line_says_how_much_of_the_logs_was_read() -> None:
    assert "of 12 failures in 14 days and 3 error lines of the logs in 24h" in screen(ReadLogs(3, "", more=False))
    partly = screen(ReadLogs(1_000, "2027-01-15T07:50:00Z", more=True))
    assert "of 12 failures in 14 days and the 1,000 newest error lines of the logs (all since " in partly
    nothing = screen(ReadLogs(0, "2027-01-15T07:50:00Z", more=True))
    assert "and no error line of the logs since " in nothing and "(older ones may exist)" in nothing
    assert "of the logs" not in screen(None)


def test_a_group_of_the_logs_alone_leads_to_its_lines_and_to_no_repair() -> None:
    text = screen(ReadLogs(3, "", more=False), whole=True)
    assert "3 failures (0 dead, 0 waiting, 3 in the logs alone)" in text
    assert f"next  rtp logs --request-id={A} --since=1d" in text
    assert "rtp show" not in text and "redrive" not in text and "rtp records" not in text
