"""A pipeline for tests that break and fix it, and a view into its queues that receives no message."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import pytest

from rtp.aws import api, queues, records
from rtp.contract import Output
from rtp.local import engine as engines
from rtp.local.door import TOKEN_HEADER
from rtp.local.weather.faults import MAX_FAULTS
from rtp.ops.events.identity import uuid7
from rtp.ops.stack.code import update
from rtp.runtime.wire import uuid7_timestamp
from tests.local.conftest import Project, is_count, suite_weather

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from rtp.aws import Aws

_T = TypeVar("_T")
_PASSING = (429, 500, 503)  # statuses with which a client repeats its request
SETTINGS = """\
[processors]
path = "processors.py"

[defaults]
max_receive_count = 2
backoff_base_s = 0
timeout_s = 10
key_rate = 10000
key_burst = 10000
daily_quota = 1000000
"""

PROCESSORS = '''\
"""Orders fail until the flag file exists; `bad` is always rejected."""

from pathlib import Path

from rtp.runtime import Event, Reject, processor

FIXED = Path(FLAG)


@processor("order.created")
def price(event: Event) -> dict:
    if not FIXED.exists():
        raise KeyError("total")
    return {"priced": True}


@processor("bad")
def bad(event: Event) -> dict:
    raise Reject(event.data.get("why", "no"))


@processor("noisy")
def noisy(event: Event) -> None:
    import logging

    logging.getLogger("shop").error("partner %s is down", event.data["n"])


@processor("exits")
def exits(event: Event) -> None:
    import os

    os._exit(3)
'''


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in a queue."""

    message_id: str
    body: str
    visible: bool
    receives: int
    attributes: dict[str, Any]


class Pipeline:
    """A deployed project, its switch, and its queues."""

    def __init__(self, project: Project, flag: Path) -> None:
        self.project = project
        self.flag = flag

    @cached_property
    def aws(self) -> Aws:
        """The engine, behind the CLI."""
        return self.project.aws

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        return self.project.outputs

    @cached_property
    def url(self) -> str:
        """The API's."""
        return api.url(self.outputs, self.aws)

    @cached_property
    def key(self) -> str:
        """The API key's value."""
        return api.key(self.aws, self.outputs).value

    def fix(self) -> None:
        """Let orders be processed from now on."""
        self.flag.write_text("")

    def break_(self) -> None:
        """Let orders fail from now on."""
        self.flag.unlink(missing_ok=True)

    @property
    def dlq(self) -> list[Stored]:
        """What is in the dead-letter queue."""
        return stored(self.project, self.outputs[Output.DLQ_URL])

    @property
    def queue(self) -> list[Stored]:
        """What is in the queue."""
        return stored(self.project, self.outputs[Output.QUEUE_URL])

    @contextmanager
    def worker_disabled(self) -> Iterator[None]:
        """In the block the worker receives nothing from the queue."""
        (mapping,) = self.aws.pages("lambda", "list_event_source_mappings", "EventSourceMappings")
        update.event_source(self.aws, mapping["UUID"], on=False)
        time.sleep(1.5)  # a poll that has begun may still receive something
        try:
            yield
        finally:
            update.event_source(self.aws, mapping["UUID"], on=True)

    def statuses(self, ids: Iterable[str]) -> dict[str, str]:
        """Of the events' records, by id; those that rtp made the ids for."""
        keys = [(i, uuid7_timestamp(i) or 0) for i in ids]
        found = {str(r["id"]): str(r["status"]) for r in records.by_keys(self.aws, self.outputs[Output.TABLE], keys)}
        return {i: found.get(i, "") for i, _ in keys}

    def kill_orders(self, count: int, kind: str = "order.created", data: str = "{}") -> list[str]:
        """Let `count` events fail until they are in the dead-letter queue. Returns their ids."""
        before = {m.message_id for m in self.dlq}
        events = [{"id": uuid7(), "type": kind, "data": json.loads(data)} for _ in range(count)]
        self._put(Output.QUEUE_URL, events)
        ids = [str(e["id"]) for e in events]

        def are_dead() -> bool:
            new = [m for m in self.dlq if m.message_id not in before]
            return is_count(len(new), count) and all(any(event_id in m.body for m in new) for event_id in ids)

        wait_for(are_dead)
        return ids

    def fill_dlq(self, count: int) -> None:
        """Send `count` orders to the dead-letter queue."""
        self._put(Output.DLQ_URL, [{"id": uuid7(), "type": "order.created", "data": {}} for _ in range(count)])

    def _put(self, queue: Output, events: list[dict[str, Any]]) -> None:
        messages = [queues.Outgoing(json.dumps(event), {}) for event in events]
        errors = [receipt.error for receipt in queues.send(self.aws, self.outputs[queue], messages)]
        assert not any(errors), errors


def stored(project: Project, url: str) -> list[Stored]:
    """The messages of a queue, read without receiving them."""
    engine = project.engine
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)
    path = f"/_ministack/sqs/messages?QueueUrl={quote(url, safe='')}"
    connection.request("GET", path, headers={TOKEN_HEADER: engine.token})
    found = json.loads(connection.getresponse().read())["messages"]
    connection.close()
    messages = next(iter(next(iter(found.values())).values()))[url] if found else []
    return [
        Stored(m["MessageId"], m["Body"], m["IsVisible"], m["ReceiveCount"], m["MessageAttributes"]) for m in messages
    ]


@contextmanager
def soon_visible(aws: Aws, url: str, seconds: int) -> Iterator[None]:
    """In the block messages of a queue return soon after an invocation that has ended without an answer.

    A deployed queue hides them for six times the function's timeout. seconds: more than that timeout where the
    invocation has claimed an event, because its claim holds until then.
    """
    name = "VisibilityTimeout"
    asked = aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=[name])
    aws.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes={name: str(seconds)})
    try:
        yield
    finally:
        aws.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes=asked["Attributes"])


def wait_for(condition: Callable[[], object], *, seconds: float = 180) -> None:
    """Wait until the condition holds; fail the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def eventually(look: Callable[[], _T], expected: _T, *, seconds: float = 180) -> _T:
    """What `look` returns once that is expected, or at the end: a read of an index may lag behind the writes."""
    deadline = time.monotonic() + seconds
    while (value := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return value


def post(pipeline: Pipeline, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    """Send a request to the API with the stack's own key; under weather again, as clients have to."""
    refusals = resets = MAX_FAULTS if suite_weather() else 0
    while True:
        try:
            status, content = _post(pipeline, path, body, headers)
        except (OSError, http.client.HTTPException):
            if not resets:
                raise
            resets -= 1
            continue
        if status not in _PASSING or not refusals:
            return status, content
        refusals -= 1


def _post(pipeline: Pipeline, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    parts = urlsplit(pipeline.url + path)
    sent = {"Content-Type": "application/json", "x-api-key": pipeline.key, **headers}
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)) as connection:
        connection.request("POST", parts.path, body=body, headers=sent)
        answer = connection.getresponse()
        content = answer.read()
    return answer.status, content


@pytest.fixture(scope="session")
def pipeline_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A deployed pipeline that only these tests use."""
    root = tmp_path_factory.mktemp("repair")
    made = Pipeline(Project(root), root / "fixed")
    (root / "processors.py").write_text(PROCESSORS.replace("FLAG", repr(str(made.flag))))
    (root / "rtp.toml").write_text(SETTINGS)
    try:
        made.project.rtp("deploy", "--yes")
        yield made
    finally:
        engines.stop(root)


@pytest.fixture
def pipeline(pipeline_project: Pipeline) -> Pipeline:
    """The same pipeline, with failing orders and empty queues."""
    pipeline_project.project.end_started()
    pipeline_project.break_()
    wait_for(lambda: not pipeline_project.queue)
    if pipeline_project.dlq:
        pipeline_project.project.rtp("dlq", "purge", "--all", "--yes")
    return pipeline_project
