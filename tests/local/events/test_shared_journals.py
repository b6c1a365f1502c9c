"""A second operator, with another folder and another home, undoes and completes what the first one has begun."""

from __future__ import annotations

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


def test_another_machine_knows_a_replay(pipeline: Pipeline, second: Second) -> None:
    pipeline.fix()
    sent = pipeline.project.rtp("send", "--type", "order.created", "-d", "{}", "--json").json
    done = pipeline.project.rtp("replay", "--id", sent["id"], "--json").json
    # When it is continued elsewhere / Then nothing is left of it
    again = second.rtp("replay", "--run", done["run"], "--json").json
    assert (again["replayed"], again["events"]) == (0, [])
