"""`rtp drill`: a fault, what became of each event, and nothing of it left."""

from __future__ import annotations

import gzip
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import objects
from rtp.contract import Output
from rtp.errors import ExitCode
from tests.local.conftest import is_count, suite_weather
from tests.local.events.conftest import eventually, post, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Project
    from tests.local.events.conftest import Pipeline


def drilled(pipeline: Pipeline, fault: str, *options: str, ok: bool = True) -> dict[str, Any]:
    seconds = "120" if suite_weather() is None else "400"  # a message whose answer was lost is hidden for three minutes
    done = pipeline.project.rtp("drill", fault, "--timeout", seconds, *options, "--json", ok=ok, timeout=500)
    found: dict[str, Any] = done.json
    return found


def left(pipeline: Pipeline, run: str) -> int:
    """How many records of a run the list shows."""
    of_run = ("--type", "rtp.drill", "--since", "1h", "--where", f"starts_with(id, 'drill-{run}-')")
    counted = pipeline.project.rtp("records", *of_run, "--count", "--json")
    return int(counted.json["total"])


def current_objects(pipeline: Pipeline, run: str) -> list[str]:
    bucket = pipeline.outputs[Output.BUCKET]
    keys = [
        str(entry["Key"])
        for prefix in ("raw/", "processed/")
        for entry in pipeline.aws.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
    ]
    bodies = {key: objects.get(pipeline.aws, bucket, key) for key in keys}
    return [key for key, body in bodies.items() if key.endswith(".gz") and run.encode() in gzip.decompress(body)]


def test_poisoned_events_are_dead_the_alarms_fire_and_nothing_is_left(pipeline: Pipeline) -> None:
    # Given a dead order, which is nobody's drill
    (order,) = pipeline.kill_orders(1)
    # When
    found = drilled(pipeline, "poison", "--count", "12", ok=suite_weather() is None)
    # Then each event died of the fault, and the ledger has all of them
    ledger = found["ledger"]
    assert (ledger["sent"], ledger["dead"], ledger["lost"], ledger["doubled"]) == (12, 12, 0, 0)
    assert {(end["status"], end["error"]) for end in found["ends"]} == {
        ("dead", "DrillError: the drill lets each attempt fail")
    }
    # And the alarm of failing attempts fired; that of the DLQ may have been firing for the order
    states = {alarm["name"]: alarm["state"] for alarm in found["alarms"] if alarm["expected"]}
    assert states.keys() == {"dlq-messages", "worker-failures"}
    assert "silent" not in states.values()
    # And what is left is the order
    assert found["removed"]["records"] == 12
    assert found["removed"]["messages"] >= 12
    assert {order in message.body for message in pipeline.dlq} == {True} and is_count(len(pipeline.dlq), 1)
    assert eventually(lambda: left(pipeline, found["run"]), 0) == 0
    assert current_objects(pipeline, found["run"]) == [] or found["removed"]["shared_objects"]


@pytest.mark.parametrize(
    "fault", ["flood", "throttle", *(pytest.param(each, marks=pytest.mark.long) for each in ("duplicate", "blocked"))]
)
def test_what_is_to_be_processed_is_processed_once(pipeline: Pipeline, fault: str) -> None:
    found = drilled(pipeline, fault, "--count", "11", ok=suite_weather() is None)

    ledger = found["ledger"]
    ended = ledger["processed"] + (ledger["dead"] if suite_weather() else 0)  # bad weather costs attempts
    assert (ledger["sent"], ended, ledger["lost"], ledger["doubled"]) == (11, 11, 0, 0)
    failed = {"throttle": 11, "blocked": 2}.get(fault, 0)
    assert sum(end["count"] for end in found["ends"] if end["attempts"] > 1) >= failed
    # (under weather a message may come a second time, after the drill has removed its event's record)
    assert suite_weather() or eventually(lambda: left(pipeline, found["run"]), 0) == 0


@pytest.mark.long
def test_a_person_reads_what_became_of_the_events(pipeline: Pipeline) -> None:
    done = pipeline.project.rtp("drill", "slow", "--count", "2", "--timeout", "120", ok=suite_weather() is None)

    if suite_weather() is None:
        assert "2 sent, 2 processed, 0 dead, 0 lost, 0 doubled" in done.stdout
    assert "2 sent, " in done.stdout and "0 lost, 0 doubled" in done.stdout  # bad weather costs attempts
    assert "2 records" in done.stdout and "metrics; log lines; traces" in done.stdout
    (entry, *_) = pipeline.project.rtp("history", "--json").json["entries"]
    assert (entry["command"], entry["arguments"]["fault"]) == ("drill", "slow")
    assert entry["outcome"] == ("failed" if done.code else "succeeded")


def test_nobody_else_can_send_events_of_the_type(pipeline: Pipeline) -> None:
    body = b'{"type": "rtp.drill", "data": {"run": "r", "fault": "poison"}}'

    status, answer = post(pipeline, "process", body)

    assert status == 400 and b"reserved for `rtp drill`" in answer
    sent = pipeline.project.rtp("send", "--type", "rtp.drill", "-d", "{}", "--via", "sqs", ok=False)
    assert sent.code == ExitCode.USAGE


@pytest.mark.long
def test_events_that_have_not_ended_are_named_and_stay(pipeline: Pipeline) -> None:
    with pipeline.worker_disabled():
        done = pipeline.project.rtp("drill", "flood", "--count", "3", "--timeout", "2", "--json", ok=False)

    assert done.code == ExitCode.TIMED_OUT, done.stdout
    assert (done.json["ledger"]["waiting"], done.json["ledger"]["lost"]) == (3, 0)
    assert any("had not ended" in note for note in done.json["notes"])
    assert eventually(lambda: left(pipeline, done.json["run"]), 3) == 3


def test_a_protected_environment_is_refused(tmp_path: Path, project: Project) -> None:
    (tmp_path / "rtp.toml").write_text('[env.prod]\naccount = "111122223333"\nregion = "eu-west-1"\n')

    done = project.rtp("drill", "poison", "--env", "prod", "--json", ok=False)

    assert (done.code, done.json["error"]["code"]) == (ExitCode.REFUSED, "protected-environment")


def test_a_stack_that_was_deployed_as_protected_is_refused(pipeline: Pipeline) -> None:
    """The rtp.toml here may be an older one, or another branch's."""

    def protect(*, on: bool) -> None:
        stack = {"StackName": "realtime-processor-local", "EnableTerminationProtection": on}
        pipeline.aws.call("cloudformation", "update_termination_protection", **stack)

    protect(on=True)
    try:
        for words in (("poison",), ("--clean-up", "--yes")):
            done = pipeline.project.rtp("drill", *words, "--json", ok=False)
            assert (done.code, done.json["error"]["code"]) == (ExitCode.REFUSED, "protected-environment")
    finally:
        protect(on=False)
    assert pipeline.queue == []


def test_an_interrupted_drill_still_reports_its_ledger(pipeline: Pipeline) -> None:
    with pipeline.worker_disabled():
        drill = pipeline.project.start("drill", "flood", "--count", "4", "--timeout", "170", "--json")
        wait_for(lambda: len(pipeline.queue) >= 4)
        drill.send_signal(signal.SIGINT)
        out, _ = drill.communicate(timeout=120)

    assert drill.returncode == ExitCode.INTERRUPTED
    ledger = json.loads(out)["ledger"]
    assert ledger["sent"] + ledger["unsent"] == 4
    assert (ledger["waiting"], ledger["lost"]) == (ledger["sent"], 0)


@pytest.mark.long
def test_what_a_killed_drill_left_is_cleaned_up_and_nothing_else(pipeline: Pipeline) -> None:
    # Given nothing of earlier drills, a dead order, and a drill that was killed once its events were dead
    def clean_up() -> dict[str, Any]:
        one = pipeline.project.rtp("drill", "--clean-up", "--yes", "--json", ok=suite_weather() is None)
        assert one.code in (ExitCode.OK, ExitCode.TIMED_OUT), one
        found: dict[str, Any] = one.json
        return found

    assert eventually(lambda: clean_up()["runs"], []) == []
    (order,) = pipeline.kill_orders(1)
    begun = {message.body for message in pipeline.dlq}
    killed = pipeline.project.start("drill", "poison", "--count", "6", "--timeout", "120", "--yes")
    wait_for(lambda: len({m.body for m in pipeline.dlq} - begun) >= 6 or killed.poll() is not None)
    killed.send_signal(signal.SIGKILL)
    said = killed.communicate()
    # When / Then
    assert pipeline.project.rtp("drill", "poison", "--clean-up", ok=False).code == ExitCode.USAGE
    assert pipeline.project.rtp("drill", "--yes", ok=False).code == ExitCode.USAGE
    done = clean_up()
    assert len(done["runs"]) == 1, (done, killed.returncode, said)
    (run,) = done["runs"]
    rest = done
    for _ in range(10 if suite_weather() is not None else 0):  # a message whose answer was lost is hidden for minutes
        if not rest["waiting"]:
            break
        rest = clean_up()
        done["removed"]["records"] += rest["removed"]["records"]
    assert done["removed"]["records"] == 6 and rest["waiting"] == 0
    # (under weather a message may come a second time, after its event's record was removed)
    assert suite_weather() or eventually(lambda: left(pipeline, run), 0) == 0
    assert {order in message.body for message in pipeline.dlq} == {True} and is_count(len(pipeline.dlq), 1)
    assert current_objects(pipeline, run) == [] or done["removed"]["shared_objects"]
    # And once more there is nothing
    assert eventually(lambda: clean_up()["runs"], []) == []
