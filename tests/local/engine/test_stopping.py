"""Stopping an engine that is stuck: it ends, saves where it still can, and its last save is never lost."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from rtp.local import engine, process
from rtp.local.state import folder
from tests.local.engine.conftest import Lab
from tests.local.engine.test_held_up import SLOW_TEXT, checked_api, start_slow_match

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local.conftest import Project

EVERYTHING = {"key": b"changed after the save", "later": b"after the save"}


@pytest.fixture
def stuck(project: Project) -> Iterator[Lab]:
    """An engine whose regular expressions have no limit of their own, with one save; its folder is the project's."""
    first = Lab(engine.start(project.root))
    first.call("s3", "create_bucket", Bucket="kept")
    first.call("s3", "put_object", Bucket="kept", Key="key", Body=b"saved")
    first.queue("saved")
    assert engine.stop(project.root)
    running = engine.start(project.root, extra_env={"RTP_LOCAL_WITHOUT": "user_regexes"}, save_every_s=0)
    lab = Lab(running)
    lab.call("s3", "put_object", Bucket="kept", Key="later", Body=b"after the save")
    lab.call("s3", "put_object", Bucket="kept", Key="key", Body=b"changed after the save")
    yield lab
    record = folder(project.root).record()
    if record:
        process.kill_group(record.pid, record.started)
        process.wait_gone(record.pid, record.started, 20)


def objects(project: Project) -> dict[str, bytes]:
    """What a new start finds."""
    lab = Lab(engine.start(project.root))
    found = lab.call("s3", "list_objects_v2", Bucket="kept")["Contents"]
    assert any(url.endswith("-saved") for url in lab.call("sqs", "list_queues")["QueueUrls"])
    return {o["Key"]: lab.call("s3", "get_object", Bucket="kept", Key=o["Key"])["Body"].read() for o in found}


def wait_until_frozen(lab: Lab) -> bool:
    """Whether the engine answers nobody any more."""
    for _ in range(300):  # the request that freezes it comes from a process that has to start first
        connection = http.client.HTTPConnection("127.0.0.1", lab.engine.port, timeout=3)
        try:
            connection.request("GET", "/_ministack/health")
            connection.getresponse().read()
        except TimeoutError:
            return True
        finally:
            connection.close()
        time.sleep(0.1)
    return False


@pytest.mark.long  # half a minute of a stop's patience
def test_a_frozen_engine_is_killed_and_its_last_save_stays(stuck: Lab, project: Project) -> None:
    # Given a match in a thread, which no signal reaches and which lets no other thread run
    start_slow_match(stuck)
    assert wait_until_frozen(stuck)
    started = process.started(stuck.engine.pid) or ""
    # When
    done = project.rtp("local", "stop", "--json")
    # Then
    assert "did not react and was killed: the data since its last save, of 20" in done.stderr
    assert done.json["state"] == "stopped" and done.json["data_lost"] and done.json["saved"]
    assert not process.alive(stuck.engine.pid, started)
    assert objects(project) == {"key": b"saved"}


@pytest.mark.long
def test_an_engine_whose_loop_is_blocked_saves_everything(stuck: Lab, project: Project) -> None:
    # Given a request that holds the loop
    url = f"{stuck.engine.endpoint_url}{checked_api(stuck)}"
    body = f'{{"x": "{SLOW_TEXT}"}}'.encode()
    code = (
        f"import urllib.request as u; u.urlopen(u.Request({url!r}, {body!r}, {{'Content-Type': 'application/json'}}))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as request:
        assert wait_until_frozen(stuck)
        # When
        stopped = engine.stop(project.root)
        request.kill()
    # Then
    assert stopped is not None and stopped.loss == ""
    assert objects(project) == EVERYTHING


def test_a_suspended_engine_saves_everything(stuck: Lab, project: Project) -> None:
    os.kill(stuck.engine.pid, signal.SIGSTOP)
    stopped = engine.stop(project.root)
    assert stopped is not None and stopped.loss == ""
    assert objects(project) == EVERYTHING
