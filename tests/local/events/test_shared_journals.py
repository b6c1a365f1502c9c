"""A second operator, with another folder and another home, undoes and completes what the first one has begun."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.local.conftest import Project, is_count
from tests.local.events.conftest import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Finished
    from tests.local.events.conftest import Pipeline

pytestmark = pytest.mark.xdist_group("repair")


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
    there = len(pipeline.dlq)
    run = pipeline.project.start("dlq", "redrive", "--all", "--no-canary", "--rate", "10")
    wait_for(lambda: len(pipeline.dlq) < there)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    # When the second operator redrives, once the lease has ended / Then each order is processed
    second.rtp("dlq", "redrive", "--all", "--no-canary")
    wait_for(lambda: not pipeline.dlq and not pipeline.queue)
    assert set(pipeline.statuses(orders).values()) == {"processed"}


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
    assert followed.json["result"] == {
        "processed": followed.json["done"], "dead_again": 0, "dead_of_another_cause": 0, "unknown": 0
    }  # fmt: skip
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
    assert (undone["back"], undone["processed"]) == (0, 40)


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


def test_another_machine_knows_a_replay(pipeline: Pipeline, second: Second) -> None:
    pipeline.fix()
    sent = pipeline.project.rtp("send", "--type", "order.created", "-d", "{}", "--json").json
    done = pipeline.project.rtp("replay", "--id", sent["id"], "--json").json
    # When it is continued elsewhere / Then nothing is left of it
    again = second.rtp("replay", "--run", done["run"], "--json").json
    assert (again["replayed"], again["events"]) == (0, [])
