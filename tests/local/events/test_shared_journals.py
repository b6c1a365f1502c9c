"""A second operator, with another folder and another home, undoes and completes what the first one has begun."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import Output
from rtp.errors import ExitCode
from tests.local.conftest import Project, is_count, suite_weather
from tests.local.events.conftest import wait_for
from tests.local.watch.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Finished
    from tests.local.events.conftest import Pipeline


class Second:
    """The second operator."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        (folder / "home").mkdir()
        self._project, self._home = Project(folder), folder / "home"
        self._url = str(pipeline.aws.endpoint_url)

    def rtp(self, *args: str, ok: bool = True) -> Finished:
        """Run rtp as the second operator."""
        return self._project.rtp(*args, "--endpoint-url", self._url, env={"HOME": str(self._home)}, ok=ok)


@pytest.fixture
def second(pipeline: Pipeline, tmp_path: Path) -> Second:
    return Second(pipeline, tmp_path)


def kill_a_redrive(pipeline: Pipeline, *, rate: int) -> None:
    """Kill a redrive of everything once it has taken a message. rate: messages a second."""
    there = len(pipeline.dlq)
    run = pipeline.project.start("dlq", "redrive", "--all", "--no-canary", "--rate", str(rate))
    wait_for(lambda: len(pipeline.dlq) < there)
    run.send_signal(signal.SIGKILL)
    run.communicate()


def test_another_machine_undoes_a_purge(pipeline: Pipeline, second: Second) -> None:
    # Given messages that the first operator has deleted
    pipeline.kill_orders(5)
    before = sorted(m.body for m in pipeline.dlq)
    purged = pipeline.project.rtp("dlq", "purge", "--all", "--yes", "--json").json
    assert purged["backup"].startswith("s3://") and pipeline.dlq == []
    # When the second one undoes that / Then they are back
    undone = second.rtp("dlq", "undo", "--run", purged["run"], "--yes", "--json").json
    assert is_count(undone["back"], len(before))
    assert set(before) == {m.body for m in pipeline.dlq}
    # And the first one's undo finds that it is done
    assert pipeline.project.rtp("dlq", "undo", "--yes", "--json").json["back"] == 0


def test_another_machine_completes_a_killed_redrive(pipeline: Pipeline, second: Second) -> None:
    # Given a redrive that was killed
    orders = pipeline.kill_orders(40)
    pipeline.fix()
    kill_a_redrive(pipeline, rate=10)
    # When the second operator redrives, once the lease has ended / Then each order is processed
    second.rtp("dlq", "redrive", "--all", "--no-canary")
    wait_for(lambda: not pipeline.dlq and not pipeline.queue)
    assert set(pipeline.statuses(orders).values()) == {"processed"}


@pytest.mark.long
def test_another_machine_follows_continues_and_undoes_a_killed_redrive(pipeline: Pipeline, second: Second) -> None:
    # Given a redrive that was killed, of which the second operator sees how far it was
    orders = pipeline.kill_orders(40)
    pipeline.fix()
    there = len(pipeline.dlq)
    run = pipeline.project.start("dlq", "redrive", "--all", "--no-canary", "--rate", "10")
    wait_for(lambda: len(pipeline.dlq) < there)
    seen = second.rtp("dlq", "runs", "--json").json["runs"][0]
    assert (seen["what"], seen["state"], seen["options"]) == ("redrive", "running", {"every": True})
    run.send_signal(signal.SIGKILL)
    run.communicate()
    # When the second one follows it / Then it is known to be killed, and what it sent is processed
    followed = second.rtp("dlq", "follow", seen["run"][-6:], "--json", ok=False)
    assert followed.code == 1 and followed.json["state"] == "killed" and followed.json["done"] >= 1
    became = followed.json["result"]  # of events; one that is delivered twice is done twice
    assert is_count(followed.json["done"], became.pop("processed")) and not any(became.values())
    # And nobody is asked to stop
    assert second.rtp("dlq", "stop", seen["run"], "--yes", ok=False).code == 5
    # When it is continued / Then each order is processed, by the one run
    rest = second.rtp("dlq", "redrive", "--run", seen["run"], "--wait", "--json").json
    assert rest["run"] == seen["run"] and is_count(rest["redriven"] + followed.json["done"], 40)
    assert set(pipeline.statuses(orders).values()) == {"processed"}
    done = pipeline.project.rtp("dlq", "runs", "--json").json["runs"][0]
    assert (done["state"], done["parts"]) == ("ended", 2) and is_count(done["done"], 40)
    assert second.rtp("dlq", "redrive", "--run", seen["run"], ok=False).code == 5
    # And an undo from there finds all of them processed
    undone = second.rtp("dlq", "undo", "--run", seen["run"], "--yes", "--json").json
    assert undone["back"] == 0 and is_count(undone["processed"], 40)  # of messages; one may have been sent twice


@pytest.mark.long
def test_another_machine_stops_a_redrive_and_undoes_it(pipeline: Pipeline, second: Second) -> None:
    # Given a redrive of events whose processor still fails
    pipeline.kill_orders(40)
    there = len(pipeline.dlq)
    run = pipeline.project.start("dlq", "redrive", "--all", "--no-canary", "--rate", "2", "--json")
    wait_for(lambda: len(pipeline.dlq) < there)
    # When the second operator asks it to stop / Then it stops, and says who asked
    stopped = second.rtp("dlq", "stop", "--yes", "--json").json
    out, _ = run.communicate()
    assert run.returncode == 130 and stopped["state"] == "stopped"
    report = json.loads(out)
    assert report["stopped_by"] == stopped["asked_by"] and 0 < report["redriven"] < 40
    listed = second.rtp("dlq", "runs").stdout
    assert "stopped" in listed and f"{report['redriven']} redriven" in listed
    # And its undo leaves each message in the DLQ
    second.rtp("dlq", "undo", "--run", report["run"], "--yes", "--json")
    wait_for(lambda: is_count(len(pipeline.dlq), there))


def test_a_forged_journal_stops_neither_an_undo_nor_a_redrive(pipeline: Pipeline, second: Second) -> None:
    # Given a purge, and newer journals in rtp's own bucket: one of another program, and one of noise
    pipeline.kill_orders(3)
    before = sorted(m.body for m in pipeline.dlq)
    purged = pipeline.project.rtp("dlq", "purge", "--all", "--yes", "--json").json
    bucket, _, key = purged["backup"].removeprefix("s3://").partition("/")
    store, account = key.rpartition("/")[0], pipeline.outputs[Output.KEY_ARN].split(":")[4]
    head = {"step": "head", "what": "purge", "stack": "realtime-processor-local", "account": account, "started": 1}
    took = {"step": "took", "message_id": "m1", "id": "forged", "timestamp": 1, "body": FORGED, "attributes": {}}
    late = {"step": "deleted", "message_id": ["m1"]}
    planted = {
        f"{store}/20990101T000000Z-purge-ffffff.jsonl": "\n".join(map(json.dumps, (head, took, late))).encode(),
        f"{store}/20990101T000001Z-redrive-ffffff.jsonl": b"[1]\n\xff\x00" * 5,
    }
    for name, body in planted.items():
        pipeline.aws.call("s3", "put_object", Bucket=bucket, Key=name, Body=body)
    try:
        # When the latest run is undone / Then that ends where nobody is asked, with the run that it would be
        refused = second.rtp("dlq", "undo", "--yes", "--json", ok=False)
        assert (refused.code, refused.json["error"]["code"]) == (ExitCode.CONFIG, "unreadable-journal")
        assert purged["run"] in refused.json["error"]["hint"]
        # When it is undone by its name
        undone = second.rtp("dlq", "undo", "--run", purged["run"], "--yes", "--json")
        assert (undone.json["run"], undone.json["back"]) == (purged["run"], len(before))
        # When all is redriven / Then the forged redrive does not stop it
        redriven = second.rtp("dlq", "redrive", "--all", "--no-canary", "--json")
        assert is_count(redriven.json["redriven"], len(before))
        for name in planted:
            assert f"s3://{bucket}/{name} cannot be read: line " in refused.stderr
        assert "20990101T000001Z-redrive-ffffff.jsonl cannot be read" in redriven.stderr
        # And nothing of them is in a queue
        assert not any("forged" in message.body for message in (*pipeline.dlq, *pipeline.queue))
    finally:
        for name in planted:
            pipeline.aws.call("s3", "delete_object", Bucket=bucket, Key=name)
    wait_for(lambda: is_count(len(pipeline.dlq), len(before)))


FORGED = '{"id": "forged", "timestamp": 1, "type": "order.created", "data": {}}'


def test_another_machine_knows_a_replay(pipeline: Pipeline, second: Second) -> None:
    pipeline.fix()
    sent = pipeline.project.rtp("send", "--type", "order.created", "-d", "{}", "--json").json
    done = pipeline.project.rtp("replay", "--id", sent["id"], "--json").json
    # When it is continued elsewhere / Then nothing is left of it
    again = second.rtp("replay", "--run", done["run"], "--json").json
    assert (again["replayed"], again["events"]) == (0, [])


@pytest.mark.long
def test_another_machine_stops_a_replay_continues_it_and_sees_what_became_of_its_events(
    pipeline: Pipeline, second: Second
) -> None:
    # Given a slow replay of dead events whose processor is corrected
    orders = pipeline.kill_orders(12)
    pipeline.fix()
    ids = [f"--id={order}" for order in orders]
    replay = pipeline.project.start("replay", *ids, "--rate", "0.5", "--yes", "--json")

    def seen() -> dict[str, Any]:
        runs = second.rtp("dlq", "runs", "--json").json["runs"]
        running = (each for each in runs if each["what"] == "replay" and each["state"] == "running" and each["done"])
        return next(running, {})

    run = until(seen)
    assert 0 < run["done"] < 12
    # When the second operator asks it to stop / Then it stops, and says who asked
    stopped = second.rtp("dlq", "stop", run["run"], "--yes", "--json").json
    out, _ = replay.communicate()
    part = json.loads(out)
    assert (replay.returncode, stopped["state"]) == (130, "stopped")
    assert part["stopped_by"] == stopped["asked_by"] and 0 < part["replayed"] < 12
    # And what it had queued is processed
    followed = second.rtp("dlq", "follow", run["run"][-6:], "--json").json
    assert (followed["state"], followed["done"]) == ("stopped", part["replayed"])
    assert followed["result"] == outcomes(processed=part["replayed"])
    # When the second one continues it / Then the rest is queued, by the one run
    rest = second.rtp("replay", "--run", run["run"], "--yes", "--json").json
    assert (rest["run"], rest["replayed"]) == (run["run"], 12 - part["replayed"])
    done = pipeline.project.rtp("dlq", "follow", run["run"], "--json").json
    assert (done["state"], done["parts"], done["done"]) == ("ended", 2, 12)
    assert done["result"] == outcomes(processed=12)
    # And events that were processed and die in a replay are dead of something new, and then dead again of it
    pipeline.break_()
    for result in (outcomes(dead_of_another_cause=2), outcomes(dead_again=2)):
        again = pipeline.project.rtp("replay", *ids[:2], "--yes", "--json").json["run"]
        followed = second.rtp("dlq", "follow", again, "--json", ok=False)
        assert (followed.code, followed.json["result"]) == (1, result)


def outcomes(**counts: int) -> dict[str, int]:
    return {"processed": 0, "dead_again": 0, "dead_of_another_cause": 0, "unknown": 0, **counts}


@pytest.mark.long
def test_a_continued_redrive_leaves_what_came_after_it_had_begun(pipeline: Pipeline, second: Second) -> None:
    # Given a redrive of everything that was killed, and messages that died after it had begun
    orders = pipeline.kill_orders(20)
    pipeline.fix()
    kill_a_redrive(pipeline, rate=5)
    time.sleep(1)  # SQS's clock leaves out the milliseconds of a run's begin
    (later,) = pipeline.kill_orders(1, kind="bad")
    # When it is continued / Then it takes its own messages alone
    name = second.rtp("dlq", "runs", "--json").json["runs"][0]["run"]
    second.rtp("dlq", "redrive", "--run", name, "--wait", "--json")
    assert set(pipeline.statuses(orders).values()) == {"processed"}
    assert {later in m.body for m in pipeline.dlq} == {True}
    # And another redrive takes the others
    assert later in {m["id"] for m in second.rtp("dlq", "redrive", "--all", "--dry-run", "--json").json["messages"]}


def test_a_purge_has_no_outcomes(pipeline: Pipeline, second: Second) -> None:
    pipeline.kill_orders(1)
    run = pipeline.project.rtp("dlq", "purge", "--all", "--yes", "--json").json["run"]
    assert "none; a purge deletes messages" in second.rtp("dlq", "follow", run).stdout
    assert second.rtp("dlq", "follow", run, "--json").json["result"] is None


def test_every_repair_is_in_the_history_with_its_reason(pipeline: Pipeline, second: Second) -> None:
    # Given each way of repairing
    rtp = pipeline.project.rtp
    (order,) = pipeline.kill_orders(1)
    pipeline.fix()
    for words in (
        ("dlq", "purge", "--all", "--yes"),
        ("dlq", "undo", "--yes"),
        ("dlq", "redrive", "--all", "--yes", "--wait"),
        ("replay", f"--id={order}", "--yes"),
    ):
        rtp(*words, "-m", f"ticket {words[-2]}")
    # When another machine reads the history / Then it has each: who, from where, with which arguments, how it ended
    listed = second.rtp("history", "--since", "1h", "--limit", "4", "--json").json["entries"]
    if suite_weather() is not None:  # AWS's clock is off there, and known to a second or the time of an answer
        listed.sort(key=lambda e: ("replay", "dlq redrive", "dlq undo", "dlq purge").index(e["command"]))
    assert [e["command"] for e in listed] == ["replay", "dlq redrive", "dlq undo", "dlq purge"]
    assert {e["outcome"] for e in listed} == {"succeeded"} and all(e["reason"].startswith("ticket ") for e in listed)
    assert all(
        e["user"] and e["host"] and e["duration_s"] > 0 and e["result"].startswith(("run ", "purge ")) for e in listed
    )
    assert listed[1]["arguments"] == {"all": True, "wait": True} and listed[0]["arguments"]["id"] == [order]
