"""`rtp send` on the real engine: every way in, every shape of input, and every kind of bad input."""

from __future__ import annotations

import json
import signal
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rtp.ops.events.identity import uuid7
from rtp.runtime import wire
from rtp.text import times
from tests.local.conftest import is_count, suite_weather
from tests.local.events.conftest import post, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.local.conftest import Project
    from tests.local.events.conftest import Pipeline


GOOD = '{"type": "note", "data": {"n": 1}}'


@pytest.fixture
def project(pipeline: Pipeline) -> Project:
    """The deployed project."""
    return pipeline.project


def test_one_event_of_a_file_is_processed_and_has_the_pinned_shape(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(json.loads(GOOD), indent=4))

    sent = project.rtp("send", file, "--json").json

    assert list(sent) == ["version", "id", "timestamp", "status", "http_status", "trace_id", "latency_ms", "type"]
    assert (sent["status"], sent["http_status"]) == ("processed", 200)
    assert project.rtp("show", sent["id"], "--json").json["record"]["trace_id"] == sent["trace_id"]


@pytest.mark.parametrize(
    ("via", "status", "http_status"), [("api", "processed", 200), ("events", "accepted", 202), ("sqs", "accepted", 200)]
)
def test_every_way_in_leads_to_a_record_with_the_reported_trace(
    project: Project, via: str, status: str, http_status: int
) -> None:
    sent = project.rtp("send", "-", "--via", via, "--wait", "--json", stdin=GOOD).json

    assert (sent["status"], sent["http_status"]) == (status, http_status)
    assert sent["record"]["status"] == "processed"
    assert sent["record"]["data"] == {"n": 1}
    assert sent["record"]["trace_id"] == sent["trace_id"]
    assert sent["record"]["source"] == ("queue" if via == "sqs" else "api")


def test_arrays_and_lines_are_summed_up_in_the_pinned_shape(project: Project) -> None:
    for text in (f"[{GOOD}, {GOOD}]", f"{GOOD}\n{GOOD}\n"):
        done = project.rtp("send", "-", "--json", stdin=text).json

        done.pop("repeats", None)  # a request whose answer was lost is repeated
        assert list(done) == ["version", "sent", "by_status", "failed", "elapsed_s", "rate", "p50_ms", "p99_ms"]
        assert (done["sent"], done["by_status"], done["failed"]) == (2, {"processed": 2}, [])


def test_an_event_from_options(project: Project) -> None:
    done = project.rtp("send", "--type", "note", "-d", '{"x": "é"}', "--wait")

    assert done.stdout.startswith("processed  ")
    assert "trace " in done.stdout


def test_numbers_arrive_exactly(project: Project) -> None:
    numbers = [
        "0.1",
        "1.10",
        "-0.0",
        "1e-130",
        "12345678901234567890123456789012345678",
        "123456789.123456789",
        "1E125",
    ]
    event = f'{{"type": "note", "data": {{"n": [{", ".join(numbers)}]}}}}'

    sent = project.rtp("send", "-", "--json", stdin=event).json

    shown = project.rtp("show", sent["id"], "--json").stdout
    stored = json.loads(shown, parse_float=Decimal, parse_int=Decimal)["record"]["data"]["n"]
    assert stored == [Decimal(n) for n in numbers]


def test_a_repeated_event_runs_once_and_gets_the_same_answer(project: Project) -> None:
    event = '{"type": "note", "id": "mine-1", "timestamp": 1700000000000, "data": {}}'

    first, second = (project.rtp("send", "-", "--json", stdin=event).json for _ in range(2))

    assert first["status"] == second["status"] == "processed"
    several = project.rtp("send", "-", stdin=f"[{event}, {GOOD}]")
    if not suite_weather():  # which makes a request be repeated: its answer may then be of its own first try
        assert ("repeat" in first, second["repeat"]) == (False, True)
        assert "1 of them were processed before" in several.stdout
    assert is_count(project.rtp("show", "mine-1", "--json").json["record"]["attempt_count"], 1)


def test_other_content_under_a_used_identity_is_a_conflict_by_every_way_in(project: Project) -> None:
    # Given a processed event
    identity = f'"id": "order-{uuid7()}", "timestamp": {times.now_ms()}'
    first, second = (f'{{{identity}, "type": "note", "data": {{"total": {n}}}}}' for n in (1, 999))
    project.rtp("send", "-", stdin=first)

    # When another one has its id and timestamp
    by_api = project.rtp("send", "-", "--json", stdin=second, ok=False)
    by_queue = project.rtp("send", "-", "--json", "--via", "events", "--wait", stdin=second, ok=False)

    # Then the sender gets a report, the record is the first one's, and the second one's message is in the DLQ
    for done, http_status in ((by_api, 409), (by_queue, 202)):
        assert (done.code, done.json["status"], done.json["http_status"]) == (1, "conflict", http_status)
        assert done.json["error"]["type"] == "IdentityConflict"
    stories: list[Any] = []

    def has_moved() -> bool:
        stories.append(project.rtp("show", "--json", by_api.json["id"]).json)
        return stories[-1]["dlq"] is not None

    wait_for(has_moved, seconds=180)
    story = stories[-1]
    assert (story["record"]["data"], story["record"]["status"]) == ({"total": 1}, "processed")
    assert story["dlq"]["error"]["type"] == "IdentityConflict"
    project.rtp("dlq", "purge", "--id", by_api.json["id"], "--yes")


def test_a_rejected_event_is_a_failure(project: Project) -> None:
    done = project.rtp("send", "--type", "bad", "-d", '{"why": "no"}', "--json", ok=False)

    assert (done.code, done.json["status"], done.json["http_status"]) == (1, "rejected", 422)
    assert done.json["error"] == {"type": "Reject", "message": "no"}


def test_wait_reports_a_dead_event(project: Project) -> None:
    done = project.rtp("send", "--type", "order.created", "-d", "{}", "--wait", "--json", ok=False)

    assert (done.code, done.json["status"], done.json["record"]["status"]) == (1, "queued", "dead")
    assert done.json["record"]["error"]["type"] == "KeyError"


def test_a_wait_that_times_out_has_its_own_exit_code(pipeline: Pipeline) -> None:
    seconds = "0.5" if suite_weather() is None else "10"  # a refused request is repeated within the time
    with pipeline.worker_disabled():
        done = pipeline.project.rtp(
            "send", "-", "--via", "events", "--wait", "--timeout", seconds, "--json", stdin=GOOD, ok=False
        )

    assert (done.code, done.json["status"], done.json["record"]) == (6, "accepted", None)
    wait_for(lambda: pipeline.statuses([done.json["id"]]) == {done.json["id"]: "processed"})


def test_a_mixed_load_fails_as_a_whole_and_names_the_lines(project: Project) -> None:
    events = "\n".join([GOOD, '{"type": "bad", "data": {}}', GOOD])

    done = project.rtp("send", "-", "--json", stdin=events, ok=False)

    assert (done.code, done.json["by_status"]) == (1, {"processed": 2, "rejected": 1})
    assert [f["line"] for f in done.json["failed"]] == [2]
    assert "such as line 2" in project.rtp("send", "-", stdin=events, ok=False).stdout


def test_a_large_load_leaves_one_record_each(pipeline: Pipeline) -> None:
    done = pipeline.project.rtp(
        "send", "-", "--via", "sqs", "--count", "200", "--wait", "--json", stdin=GOOD, timeout=300
    )

    assert (done.json["sent"], done.json["outcomes"], done.json["pending"]) == (200, {"processed": 200}, 0)


def test_a_rate_is_kept(project: Project) -> None:
    done = project.rtp("send", "-", "--count", "11", "--rate", "10", "--json", stdin=GOOD).json

    assert done["elapsed_s"] >= 1
    assert done["rate"] <= 11


def test_an_interrupted_run_still_has_its_summary(pipeline: Pipeline) -> None:
    kind = f"note.{uuid.uuid4().hex}"  # of this run alone
    run = pipeline.project.start("send", "--type", kind, "-d", "{}", "--count", "1000", "--rate", "40", "--json")
    wait_for(lambda: _has_stored(pipeline, kind) or run.poll() is not None)

    run.send_signal(signal.SIGINT)
    stdout, stderr = run.communicate(timeout=180)

    assert run.returncode == 130
    assert "Traceback" not in stderr
    done = json.loads(stdout)
    assert 0 < done["sent"] < 1000
    assert done["sent"] + done["unsent"] == 1000
    # An event whose repetition the interrupt ended is listed; without weather there is none
    assert done["by_status"]["processed"] + len(done["failed"]) == done["sent"]
    assert not done["failed"] or suite_weather()


def _has_stored(pipeline: Pipeline, kind: str) -> bool:
    """Whether an event of the type was stored."""
    return bool(pipeline.project.rtp("records", "--type", kind, "--json").json["records"])


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "said"),
    [
        (["send", "none.json"], "", 2, "There is no file none.json"),
        (["send", "-"], f'{GOOD}\n{{"x": 1}}\n', 2, "line 2: $.type: required"),
        (["send", "-"], b"\xff\xfe", 2, "not UTF-8"),
        (["send"], "", 2, "No event is given"),
        (["send", "-", "--type", "a"], GOOD, 2, "--type belongs to --data"),
        (["send", "-", "--via", "pigeon"], GOOD, 2, "--via"),
        (["send", "-", "-e", "nowhere"], GOOD, 3, "no environment 'nowhere'"),
        (["show"], "", 2, "Missing argument"),
        (["show", "nobody"], "", 4, "Event nobody was not found"),
        (["records", "--status", "lost"], "", 2, "is not a status"),
        (["records", "--since", "1h", "--until", "2h"], "", 2, "The window would begin"),
        (["dlq", "inspect", "--grep", "("], "", 2, "--grep"),
        (["dlq", "undo", "--run", "none"], "", 4, "no run none"),
        (["replay"], "", 2, "Select events"),
        (["replay", "--id", "nobody"], "", 4, "not in the archive"),
    ],
)
def test_bad_input_is_reported_in_one_line_with_its_exit_code(
    project: Project, arguments: list[str], stdin: str | bytes, code: int, said: str
) -> None:
    done = project.rtp(*arguments, stdin=stdin, ok=False)

    assert (done.code, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.count("error: ") == 1


def test_bad_input_is_reported_as_json_with_the_option(project: Project) -> None:
    for arguments, code in ((["send", "-"], 2), (["show", "nobody"], 4)):
        done = project.rtp(*arguments, "--json", ok=False)

        assert done.code == code
        assert set(done.json["error"]) == {"code", "message", "hint"}
        assert done.stderr == ""


def test_without_an_engine_every_command_says_how_to_start_one(tmp_path: Path) -> None:
    from tests.local.conftest import Project

    empty = Project(tmp_path)
    for arguments in (["send", "-"], ["show", "x"], ["dlq", "redrive", "--all"]):
        done = empty.rtp(*arguments, "--json", stdin=GOOD, ok=False)

        assert (done.code, done.json["error"]["code"]) == (4, "engine-stopped")
        assert "rtp deploy" in done.json["error"]["hint"]


def test_the_key_is_never_shown(pipeline: Pipeline) -> None:
    secret = pipeline.key
    shown = ""
    for arguments in (["send", "-"], ["send", "-", "--via", "events", "--wait", "--json"], ["send", "none.json"]):
        done = pipeline.project.rtp(*arguments, stdin=GOOD, ok=False)
        shown += done.stdout + done.stderr

    assert len(secret) > 10
    assert secret not in shown


@pytest.mark.parametrize("size", [wire.MAX_BODY_BYTES - 1, wire.MAX_BODY_BYTES, wire.MAX_BODY_BYTES + 1, 1_048_577])
def test_events_up_to_the_limit_are_stored_and_larger_ones_are_refused(pipeline: Pipeline, size: int) -> None:
    frame = '{"type":"note","id":"ID","timestamp":1700000000000,"data":{"x":"' + '"}}'
    for path, accepted in (("process", 200), ("events", 202)):
        event_id = f"size-{size}-{path}"
        text = frame.replace("ID", event_id)
        body = text[:-3] + "x" * (size - len(text)) + '"}}'
        assert len(body) == size

        status, answer = post(pipeline, path, body.encode())

        if size > wire.MAX_BODY_BYTES:
            assert status == 413, answer
            continue
        assert status == accepted, answer
        wait_for(_stored(pipeline, event_id, size - len(text)))


def _stored(pipeline: Pipeline, event_id: str, length: int) -> Callable[[], bool]:
    """Whether the event's record has a text of so many characters."""

    def stored() -> bool:
        record = pipeline.project.rtp("show", event_id, "--json", ok=False).json.get("record")
        return bool(record) and record["status"] == "processed" and len(record["data"]["x"]) == length

    return stored
