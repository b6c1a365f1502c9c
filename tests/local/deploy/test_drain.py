"""rtp destroy --drain: no event that a client was told was accepted is deleted before it has its record."""

from __future__ import annotations

import getpass
import http.client
import json
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from rtp.aws import api, records, stacks
from rtp.config import environments
from rtp.contract import Output
from rtp.local import engine as engines
from rtp.ops.events.identity import uuid7
from rtp.ops.stack.operation import Operation
from rtp.ops.stack.steps import Phase
from rtp.ops.stack.teardown import destroy
from tests.local import deployments
from tests.local.conftest import Project
from tests.local.deploy.conftest import STACK

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator


SETTINGS = """\
[processors]
path = "processors.py"

[defaults]
timeout_s = 8
worker_concurrency = 2
max_receive_count = 5
backoff_base_s = 1
throttle_rate = 9000
throttle_burst = 9001
key_rate = 10000
key_burst = 10000
daily_quota = 1000000
"""
PROCESSORS = """\
from rtp.runtime import Reject, processor


@processor("order")
def order(event):
    return {"done": True}


@processor("rejected")
def rejected(event):
    raise Reject("never")


@processor("fails.first")
def fails_first(event):
    if event.attempt == 1:
        raise RuntimeError("not yet")
    return {"done": True}
"""


class Clients:
    """Clients that post events to one path until they are stopped, and remember what they were answered."""

    def __init__(self, project: Project, path: str, kind: str, threads: int, *, pause_s: float = 0.05) -> None:
        self.accepted: list[str] = []
        self.refused: dict[int, int] = {}
        outputs = project.outputs
        self._url = urlsplit(api.url(outputs, project.aws) + path)
        self._key = api.key(project.aws, outputs).value
        self._kind = kind
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._post) for _ in range(threads)]

    @contextmanager
    def sending(self) -> Iterator[Clients]:
        """Within it events are sent as fast as they are answered."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def one(self) -> int:
        """Send one event; the status of its answer."""
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=60)
        event_id = uuid7()
        body = json.dumps({"id": event_id, "type": self._kind, "data": {}})
        headers = {"Content-Type": "application/json", "x-api-key": self._key}
        try:
            connection.request("POST", self._url.path, body=body, headers=headers)
            status = connection.getresponse().status
        finally:
            connection.close()
        if 200 <= status < 300:
            self.accepted.append(event_id)
        else:
            self.refused[status] = self.refused.get(status, 0) + 1
        return status

    def _post(self) -> None:
        while not self._stop.is_set():
            try:
                refused = self.one() >= 300
            except (OSError, http.client.HTTPException):
                refused = True
            time.sleep(0.5 if refused else self._pause_s)


def deployed(project: Project) -> Project:
    """A pipeline whose requests and workers end within seconds, so that a drain need not wait long."""
    (project.root / "rtp.toml").write_text(SETTINGS)
    (project.root / "processors.py").write_text(PROCESSORS)
    deployments.deploy(project)
    return project


@pytest.fixture
def drained(project: Project) -> Project:
    """A pipeline of one test, which it destroys."""
    return deployed(project)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A pipeline that outlives the tests, which break off its destruction."""
    made = Project(tmp_path_factory.mktemp("lasting"))
    yield deployed(made)
    engines.stop(made.root)


def throttle(project: Project) -> tuple[dict[str, tuple[float, int]], dict[str, str]]:
    """The limits of the stage, and its variables."""
    outputs = project.outputs
    place = {"restApiId": outputs[Output.API_ID], "stageName": outputs[Output.API_STAGE]}
    stage = project.aws.call("apigateway", "get_stage", **place)
    limits = {k: (v["throttlingRateLimit"], v["throttlingBurstLimit"]) for k, v in stage["methodSettings"].items()}
    return limits, stage.get("variables") or {}


OPEN: tuple[dict[str, tuple[float, int]], dict[str, str]] = ({"*/*": (9000.0, 9001)}, {})


@contextmanager
def draining(project: Project, client: Clients, *args: str) -> Iterator[subprocess.Popen[str]]:
    """`rtp destroy --drain` at the moment when a client is refused for the first time."""
    child = project.start("destroy", "--yes", "--drain", *args)
    try:
        wait_for(lambda: client.one() == 429 or child.poll() is not None, seconds=120)
        yield child
    finally:
        child.kill()
        child.communicate()


def processed_again(project: Project, client: Clients) -> None:
    """An event that is sent now is accepted, and gets its record."""
    assert client.one() == 202
    wait_for(lambda: table(project, project.outputs[Output.TABLE]).get(client.accepted[-1]) == "processed", seconds=120)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_an_interrupted_drain_opens_the_intake_as_it_was(lasting: Project, number: signal.Signals) -> None:
    # Given a drain under way
    client = Clients(lasting, "events", "order", 0)
    assert throttle(lasting) == OPEN
    with draining(lasting, client) as child:
        # When it is interrupted
        child.send_signal(number)
        _, said = child.communicate(timeout=120)
    # Then nothing is deleted, and the intake is as it was
    assert child.returncode in (128 + number, -number), said
    assert "was not deleted" in said and "The API's intake is open again." in said
    assert throttle(lasting) == OPEN
    processed_again(lasting, client)


@pytest.mark.long
def test_a_drain_that_takes_too_long_opens_the_intake_and_deletes_nothing(lasting: Project) -> None:
    # Given a message that is not to be had for a minute
    client = Clients(lasting, "events", "order", 0)
    body = json.dumps({"id": uuid7(), "type": "order", "data": {}})
    queue = lasting.outputs[Output.QUEUE_URL]
    lasting.aws.call("sqs", "send_message", QueueUrl=queue, MessageBody=body, DelaySeconds=60)
    # When the drain is given a second
    done = lasting.rtp("destroy", "--yes", "--drain", "--timeout", "1", ok=False)
    # Then it says what is left, and all goes on
    assert done.code == 6
    said = " ".join(done.stderr.split())
    assert "1 message (1 delayed)" in said and "Nothing was deleted" in said
    assert "The API's intake is open again." in said
    assert throttle(lasting) == OPEN
    processed_again(lasting, client)
    # And a limit without a drain is a mistake
    assert lasting.rtp("destroy", "--timeout", "1", ok=False).code == 2


@pytest.mark.long
def test_an_intake_that_a_killed_drain_left_closed_is_reported_and_opened_by_a_deploy(lasting: Project) -> None:
    # Given a drain that was killed
    client = Clients(lasting, "events", "order", 0)
    with draining(lasting, client) as child:
        child.kill()
        child.communicate()
    assert client.one() == 429
    # When somebody asks / Then it is a problem, with who closed the intake and what opens it
    (problem,) = [p for p in lasting.rtp("status", "--json").json["problems"] if "intake" in p]
    assert f"closed by `rtp destroy --drain` of {getpass.getuser()}@" in problem and "`rtp deploy` opens it" in problem
    assert str(child.pid) in problem
    # When it is to be destroyed and nobody consents / Then that is said too, and the intake is left as it is
    refused = lasting.rtp("destroy", ok=False)
    assert refused.code == 5 and "The API's intake was closed by" in refused.stderr
    # When it is deployed, though nothing has changed / Then the intake is open, as it was
    done = lasting.rtp("deploy", "--yes")
    assert "it is open again" in done.stderr and "unchanged" in done.stderr
    assert throttle(lasting) == OPEN
    processed_again(lasting, client)


@pytest.mark.long
def test_destroy_reports_the_events_that_arrived_during_the_drain(drained: Project) -> None:
    # Given clients that send all the time, an event that is rejected, one that SQS holds back, and one whose
    # asynchronous invocation fails at first
    outputs, aws = drained.outputs, drained.aws
    delayed, invoked, rejected = uuid7(), uuid7(), uuid7()
    with Clients(drained, "events", "order", 2).sending() as clients:
        wait_for(lambda: len(clients.accepted) > 5, seconds=120)
        for event_id, kind, seconds in ((delayed, "order", 15), (rejected, "rejected", 1)):
            body = json.dumps({"id": event_id, "type": kind, "data": {}})
            queue = outputs[Output.QUEUE_URL]
            aws.call("sqs", "send_message", QueueUrl=queue, MessageBody=body, DelaySeconds=seconds)
        payload = json.dumps({"id": invoked, "type": "fails.first", "data": {}})
        name = outputs[Output.PROCESSOR]
        aws.call("lambda", "invoke", FunctionName=name, InvocationType="Event", Payload=payload)
        # When the pipeline is destroyed after a drain, with its data kept so that the records can be read afterwards
        done = drained.rtp("destroy", "--yes", "--drain", "--keep-data", "--json", timeout=500)
    # Then each event that was accepted has its record
    found = table(drained, outputs[Output.TABLE])
    assert {found.get(i, "no record") for i in (*clients.accepted, delayed, invoked)} == {"processed"}
    assert found[rejected] == "dead"
    # And what is said of them was asked of the services
    drain = next(one for one in done.lines if one["type"] == "drained")
    assert drain["unchecked"] == []
    assert 0 <= drain["accepted"] <= len(clients.accepted)
    assert drain["received"] == drain["recorded"] == sum(drain["by_status"].values()) > 0
    assert set(drain["by_status"]) <= {"processed", "dead"}
    assert drain["dlq"] >= drain["dlq_new"]
    assert done.lines[-1]["status"] == "destroyed"
    plan = next(one for one in done.lines if one["type"] == "plan")
    assert plan["drained"]["name"] == f"{STACK}-queue"


def table(project: Project, name: str) -> dict[str, str]:
    """Status of every event that has a record."""
    found = [records.item(i) for i in project.aws.pages("dynamodb", "scan", "Items", TableName=name)]
    return {str(r["id"]): str(r["status"]) for r in found if "status" in r}


def wait_for(condition: Any, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("trials", [1, pytest.param(20, marks=pytest.mark.reliability)])
def test_every_event_that_was_accepted_has_its_record_before_anything_is_deleted(drained: Project, trials: int) -> None:
    for trial in range(trials):
        # Given clients that send all the time, of which some fail at their first attempt
        if trial:
            drained.rtp("deploy", "--yes")
        name = drained.outputs[Output.TABLE]
        environment = environments.resolve(cwd=drained.root, environ={})
        steps = destroy.destroy(drained.aws, environment, destroy.Options(drain=True), Operation())
        seen: dict[str, str] = {}
        with (  # slow enough that the queue is empty now and then
            Clients(drained, "events", "order", 1, pause_s=0.4).sending() as to_queue,
            Clients(drained, "process", "fails.first", 1, pause_s=4).sending() as to_processor,
        ):
            wait_for(lambda: len(to_queue.accepted) > 10 and to_processor.accepted, seconds=120)
            # When the pipeline is destroyed after a drain, and the table is copied when the deletion begins
            for step in steps:
                if isinstance(step, Phase) and step.name == "emptying buckets":
                    seen = table(drained, name)
        # Then each event with a 2xx has its record, and is processed
        accepted = {*to_queue.accepted, *to_processor.accepted}
        assert accepted and {seen.get(i, "no record") for i in accepted} == {"processed"}
        # And while the stack was still whole, clients were told to come again
        assert to_queue.refused.get(429) and set(to_queue.refused) <= {403, 404, 429, 503}
        assert stacks.describe(drained.aws, STACK) is None
