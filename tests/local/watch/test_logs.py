"""`rtp logs` on the engine: one event's lines, every filter, following, and lines that want to drive the terminal."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import Output
from rtp.errors import AwsError, ExitCode
from tests.local.conftest import is_count
from tests.local.watch.conftest import Story, followed, lines_of, on_terminal, send_many, until
from tests.unit.watch.hostile import PAYLOADS

if TYPE_CHECKING:
    from tests.local.conftest import Project

RESET = re.compile(r"\x1b\[[0-9;]*m")


def put(project: Project, messages: list[str], *, function: str = Output.WORKER) -> None:
    """Write lines of somebody else into a function's log."""
    aws, group = project.aws, f"/aws/lambda/{project.outputs[function]}"
    stream = f"test-{time.time_ns()}"
    with contextlib.suppress(AwsError):  # it exists: the answer of the first attempt was lost
        aws.call("logs", "create_log_stream", logGroupName=group, logStreamName=stream)
    now = time.time_ns() // 1_000_000
    events = [{"timestamp": now, "message": m} for m in messages]
    aws.call("logs", "put_log_events", logGroupName=group, logStreamName=stream, logEvents=events)


def test_the_lines_of_an_event_have_the_promised_shape_and_order(deployed: Project, story: Story) -> None:
    found = lines_of(deployed, story.dead)

    keys = {"type", "timestamp", "level", "function", "message", "id", "request_id", "trace_id"}
    assert all(keys <= line.keys() and line["type"] == "log" for line in found)
    assert {line["id"] for line in found} == {story.dead.id}
    assert {line["trace_id"] for line in found} == {story.dead.trace_id}
    stamps = [str(line["timestamp"]) for line in found]
    assert stamps == sorted(stamps)
    assert is_count(sum(line["level"] == "ERROR" for line in found), 1)


@pytest.mark.usefixtures("story")
def test_both_functions_come_in_one_stream(deployed: Project) -> None:
    found = deployed.rtp("logs", "--json", "--since", "10m").lines

    assert {line["function"] for line in found} == {"processor", "worker"}
    stamps = [line["timestamp"] for line in found if line["kind"] == "rtp"]
    assert stamps == sorted(stamps)


def test_each_filter_selects_its_lines(deployed: Project, story: Story) -> None:
    def found(*options: str) -> list[dict[str, object]]:
        return deployed.rtp("logs", "--json", *options).lines

    assert {line["id"] for line in found("--trace-id", story.good.trace_id) if line["kind"] == "rtp"} == {story.good.id}
    loud = found("--grep", "it is bro.en", "--level", "WARNING", "--function", "worker")
    assert {(line["function"], line["level"]) for line in loud} == {("worker", "WARNING"), ("worker", "ERROR")}
    assert all("it is broken" in str(line["message"]) for line in loud)
    assert {line["level"] for line in found("--filter", '{ $.level = "ERROR" }')} == {"ERROR"}
    first, *_, last = lines_of(deployed, story.good)
    until = {line["timestamp"] for line in found("--until", str(first["timestamp"]))}
    assert first["timestamp"] in until and last["timestamp"] not in until
    request = first["request_id"]
    assert {line["request_id"] for line in found("--request-id", str(request))} == {request}


@pytest.mark.usefixtures("story")
def test_a_lambda_request_shows_its_start_and_report_too(deployed: Project) -> None:
    report = next(
        line for line in deployed.rtp("logs", "--json").lines if line["kind"] == "platform" and line["step"] == "report"
    )

    found = deployed.rtp("logs", "--json", "--request-id", report["request_id"]).lines

    assert {"start", "end", "report"} <= {line["step"] for line in found}


def test_formats(deployed: Project, story: Story) -> None:
    asked = ("logs", "--id", story.dead.id)

    short = deployed.rtp(*asked).stdout
    detailed = deployed.rtp(*asked, "--format", "detailed").stdout
    raw = deployed.rtp(*asked, "--format", "raw").stdout
    as_json = deployed.rtp(*asked, "--format", "json").stdout

    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} ERROR worker    RuntimeError: it is broken", short, re.MULTILINE)
    assert "processors.py:" in short
    assert f"trace={story.dead.trace_id}" in detailed
    assert all(json.loads(line)["event_id"] == story.dead.id for line in raw.splitlines())
    assert as_json == deployed.rtp(*asked, "--json").stdout


def test_no_matching_line_is_reported_with_the_next_step(deployed: Project) -> None:
    done = deployed.rtp("logs", "--grep", "never-written-anywhere")

    assert done.stdout == ""
    assert "search further back, use `--since=" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--grep", "("), "--grep"),
        (("--level", "LOUD"), "not a log level"),
        (("--function", "other"), "no function"),
        (("--since", "yesterday-ish"), "not a time"),
        (("--since", "5m", "--until", "10m"), "end earlier"),
        (("--follow", "--until", "now"), "--until"),
        (("--format", "xml"), "xml"),
    ],
)
def test_invalid_options_are_reported_with_the_fix(deployed: Project, options: tuple[str, ...], said: str) -> None:
    done = deployed.rtp("logs", *options, ok=False)

    assert done.code == ExitCode.USAGE
    assert said in done.stderr
    assert done.stdout == ""


def test_a_missing_engine_is_reported_with_the_fix(project: Project) -> None:
    done = project.rtp("logs", ok=False)

    assert done.code == ExitCode.NOT_FOUND
    assert "rtp deploy" in done.stderr


def test_hostile_lines_reach_a_script_unchanged_and_a_terminal_escaped(deployed: Project) -> None:
    mark = f"hostile-{time.time_ns()}"
    sound = [p for p in PAYLOADS if "\ud800" not in p]
    put(deployed, [f"{mark} {p}" for p in sound])
    put(deployed, [json.dumps({"level": "ERROR", "message": f"{mark} {p}", "event_id": p, "x": p}) for p in sound])

    def look() -> list[dict[str, Any]]:
        seen = deployed.rtp("logs", "--json", "--grep", mark).lines
        return seen if len(seen) >= 2 * len(sound) else []

    lines = until(look)
    screens = [on_terminal(deployed, "logs", "--grep", mark, "--format", f) for f in ("short", "detailed", "raw")]

    assert {f"{mark} {p}" for p in sound if "\r" not in p} <= {str(line["message"]) for line in lines}
    assert is_count(len(lines), 2 * len(sound))
    for screen in screens:
        text = RESET.sub("", screen.text)
        assert mark in text
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert not re.search(r"\r(?!\n)", text)


def test_following_shows_new_lines_once_and_ends_on_ctrl_c(deployed: Project) -> None:
    # Given a follower / When events go both ways
    tail = deployed.start("logs", "--follow", "--since", "1m", "--json")
    sent = send_many(deployed, 5) + send_many(deployed, 5, "--via", "events")

    def ends(seen: list[dict[str, Any]]) -> list[str]:
        return [line["id"] for line in seen if line["step"] == "processed" and line["id"] in sent]

    seen, talk = followed(tail, lambda seen: len(ends(seen)) >= len(sent))
    # Then each is seen to its end once, no line comes twice, and Ctrl-C ends it without a word of alarm
    assert sorted(ends(seen)) == sorted(sent)
    lines = [json.dumps(line) for line in seen if line["id"] in sent]
    assert len(set(lines)) == len(lines)
    assert tail.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in talk


@pytest.mark.usefixtures("story")
def test_following_ends_with_its_reader(deployed: Project) -> None:
    """`rtp logs -f | head -1` ends by itself."""
    tail = deployed.start("logs", "-f", "--since", "10m")
    assert tail.stdout is not None
    tail.stdout.readline()
    tail.stdout.close()
    send_many(deployed, 2)

    assert tail.wait(180) == ExitCode.OK
    assert tail.stderr is not None
    assert "Traceback" not in tail.stderr.read()
    tail.stderr.close()


def test_a_terminal_shows_colour_and_fits(deployed: Project, story: Story) -> None:
    screen = on_terminal(deployed, "logs", "--id", story.dead.id, columns=80)

    assert "\x1b[" in screen.text
    rows = [row for row in RESET.sub("", screen.text).splitlines() if "INFO" in row]
    assert rows
    assert max(map(len, rows)) <= 80


def test_a_print_within_a_request_is_found_by_the_request(deployed: Project) -> None:
    request = f"{time.time_ns() % 16**8:08x}-1111-4222-8333-444444444444"
    put(
        deployed,
        [
            f"START RequestId: {request} Version: $LATEST",
            "a print of the processor's author",
            'Traceback (most recent call last):\n  File "x.py", line 1\nKeyError: 1',
            f"END RequestId: {request}",
        ],
    )

    def all_four() -> list[dict[str, Any]]:  # lines may come late, not together, and twice: a lost answer is repeated
        lines = {line["message"]: line for line in deployed.rtp("logs", "--json", "--request-id", request).lines}
        return list(lines.values()) if len(lines) == 4 else []

    found = until(all_four)
    assert [line["message"] for line in found] == ["START", "a print of the processor's author", "KeyError: 1", "END"]
    assert found[2]["level"] == "ERROR"


def test_an_invalid_pattern_is_reported(deployed: Project) -> None:
    done = deployed.rtp("logs", "--filter", "%(a+)+$%", ok=False)
    assert done.code == 2
    assert "does not accept the filter pattern '%(a+)+$%'" in done.stderr
    assert "no groups" in done.stderr and "--grep" in done.stderr
