"""A whole pipeline in memory: the runtime and the operator's commands act on the same queues, table and bucket.

Time is the fake's own and only moves when it is told to. A process can be killed at any call, before or after AWS did
what the call asks for. Commands make their calls one after another: the same steps have the same end each time.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.errors import RefusedError
from rtp.ops.dlq import purge, undo
from rtp.ops.dlq import redrive as redrives
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.purge import PurgeRequest
from rtp.ops.dlq.redrive import RedriveRequest
from rtp.ops.dlq.target import Target
from rtp.ops.events import replay, replay_journal
from rtp.ops.journal_store import JournalFiles
from rtp.ops.work import pool
from rtp.ops.work.pool import Stop
from rtp.runtime import boot, logs, worker
from rtp.runtime.registry import Processor, Registry, Reject
from rtp.runtime.settings import Settings
from tests.unit.ops import fakes
from tests.unit.ops.fakes import BUCKET, DLQ, OUTPUTS, QUEUE, TABLE, FakeAws
from tests.unit.runtime.fakes import Bucket, Context, Dynamo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pytest

MAX_RECEIVES = 3
VISIBILITY_S = 60
INVOCATION_S = 10
# Today: the expiry of journals compares it with the times of files. The same for all lives of a run.
_START = float(int(time.time()))


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Kill:
    """At which call the process ends. left: calls until then; None: never. moment: before or after its effect."""

    left: int | None = None
    moment: str = "before"
    happened: bool = False

    def at(self, moment: str) -> None:
        if self.happened:
            raise Killed  # a dead process makes no more calls
        if self.left is None or moment != self.moment:
            return
        self.left -= 1
        if self.left < 0:
            self.happened = True
            raise Killed


class InTurn(ThreadPoolExecutor):
    """Calls each function at once, in the thread that submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # who reads the future raises it
            future.set_exception(error)
        return future


class Client:
    """A service's client in the worker's process."""

    def __init__(self, service: Any, kill: Kill) -> None:
        self._service = service
        self._kill = kill
        self.exceptions = getattr(service, "exceptions", None)

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**params: Any) -> Any:
            self._kill.at("before")
            answer = getattr(self._service, operation)(**params)
            self._kill.at("after")
            return answer

        return call


@dataclass
class Sqs:
    """The worker's view of the two queues."""

    aws: FakeAws

    def send_message(self, QueueUrl: str, MessageBody: str, MessageAttributes: dict[str, Any], **_: Any) -> None:
        url = {"queue": QUEUE, "dlq": DLQ}[QueueUrl]
        self.aws.put(url, MessageBody)
        self.aws.queues[url][-1].attributes = MessageAttributes

    def change_message_visibility(self, ReceiptHandle: str, VisibilityTimeout: int, **_: Any) -> None:
        for message in self.aws.queues[QUEUE]:
            if message.receipt == ReceiptHandle:
                message.hidden_until = self.aws.now + VisibilityTimeout


@dataclass
class Pipeline:
    """place: folder of the journals. broken: event types whose processor fails now.

    effects: ids of processed events. struck: ids of events whose worker was killed.
    kills: commands that were killed.
    """

    place: Path
    aws: FakeAws = field(default_factory=FakeAws)
    broken: set[str] = field(default_factory=set)
    effects: list[str] = field(default_factory=list)
    struck: set[str] = field(default_factory=set)
    kills: int = 0

    def __post_init__(self) -> None:
        self.aws.now = _START
        logs.set_level("CRITICAL")

    @contextmanager
    def time(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Every clock of the process shows the pipeline's time, and no two calls are made at once."""
        with monkeypatch.context() as patch:
            patch.setattr(pool, "map", _map_in_turn)
            patch.setattr(pool, "each", _each_in_turn)
            patch.setattr(time, "time", lambda: self.aws.now)
            patch.setattr(time, "time_ns", lambda: int(self.aws.now * 1_000_000_000))
            yield

    def send(self, number: int, kind: str, version: int = 0) -> None:
        self.aws.put(QUEUE, fakes.event(number, kind, version))

    def deliver(self, kill: Kill | None = None) -> bool:
        """Give the worker one batch. Returns whether there was anything to receive."""
        received = self.aws.call(
            "sqs", "receive_message", QueueUrl=QUEUE, MaxNumberOfMessages=10, VisibilityTimeout=VISIBILITY_S
        ).get("Messages", [])
        batch = [message for message in received if not self._is_worn_out(message)]
        if batch:
            response = self._invoke(batch, kill or Kill())
            if response is None:
                self.struck |= {json.loads(message["Body"])["id"] for message in batch}
            else:
                retried = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
                done = {message["MessageId"] for message in batch} - retried
                self.aws.queues[QUEUE] = [m for m in self.aws.queues[QUEUE] if m.message_id not in done]
        return bool(received)

    def settle(self) -> None:
        """Let time pass until the queue is empty and nothing is hidden in the DLQ."""
        for _ in range(200):
            if not self.deliver():
                if not self.aws.queues[QUEUE]:
                    break
                self.aws.now += VISIBILITY_S
        else:
            raise AssertionError(f"the queue does not become empty: {self.aws.bodies(QUEUE)}")
        self.aws.now += 3_600

    def redrive(self, kill: Kill, *, edited: dict[str, str] | None = None) -> None:
        """`rtp dlq redrive --all --no-canary`, with other texts for some messages."""
        request = RedriveRequest(filters=Filters(), canary=False, edited=edited or {})
        self._run(
            kill, lambda: fakes.result(redrives.redrive(self._target, request, stop=Stop(), clock=self.aws.clock))
        )

    def purge(self, kill: Kill) -> None:
        """`rtp dlq purge --all`."""
        request = PurgeRequest(filters=Filters())
        self._run(kill, lambda: fakes.result(purge.purge(self._target, request, stop=Stop(), clock=self.aws.clock)))

    def undo(self, run: str, kill: Kill) -> None:
        """`rtp dlq undo RUN`."""
        where = self._target
        self._run(kill, lambda: undo.undo(where, undo.load(where, run), stop=Stop(), clock=self.aws.clock))

    def replay(self, status: str, kill: Kill) -> None:
        """`rtp replay --status STATUS --since` the beginning."""
        request = replay.ReplayRequest(statuses=(status,), since=0, until=int(self.aws.now * 1000))

        def command() -> None:
            planned = fakes.result(replay.plan(self.aws, OUTPUTS, request))
            journal = replay_journal.begin(JournalFiles(self.place / "replay"), ("shop-dev", "1"), planned)
            fakes.result(replay.replay(self.aws, OUTPUTS, journal, rate=None, stop=Stop()))

        self._run(kill, command)

    def runs(self) -> list[str]:
        """The names of all redrives and purges, in order."""
        return self._journals.runs()

    def statuses(self) -> dict[str, str]:
        """Status by event id."""
        return {
            str(record["id"]["S"]): str(record["status"]["S"])
            for record in self.aws.items.values()
            if "status" in record
        }

    def contents(self) -> dict[str, str]:
        """Digest of type and data by event id, of each record."""
        return {
            str(record["id"]["S"]): str(record["digest"]["S"])
            for record in self.aws.items.values()
            if "status" in record
        }

    def dead_letters(self) -> dict[str, str]:
        """The text of each message in the DLQ, by message id."""
        return {message.message_id: message.body for message in self.aws.queues[DLQ]}

    @property
    def _journals(self) -> JournalFiles:
        return JournalFiles(self.place / "dlq")

    @property
    def _target(self) -> Target:
        return Target(aws=self.aws, outputs=OUTPUTS, stack="shop-dev", account="1", journals=self._journals)

    def _run(self, kill: Kill, command: Callable[[], object]) -> None:
        """Run a command, which another's lease may refuse."""
        self.aws.fault = lambda _operation, moment: kill.at(moment)
        try:
            command()
        except Killed:
            self.kills += 1
        except RefusedError as error:
            assert error.code == "locked", error
        finally:
            self.aws.fault = lambda _operation, _moment: None

    def _invoke(self, batch: list[dict[str, Any]], kill: Kill) -> dict[str, Any] | None:
        """The response of a new instance of the worker; None where it was killed."""
        registry = Registry()
        for kind in ("fails", "rejects", "works"):
            registry.add(Processor(kind, self._processor(kind), None))
        settings = Settings(
            table=TABLE, bucket=BUCKET, queue_url="queue", dlq_url="dlq", max_receive_count=MAX_RECEIVES
        )
        services = {
            "dynamodb": Client(Dynamo(items=self.aws.items), kill),
            "s3": Client(Bucket(objects=self.aws.objects), kill),
            "sqs": Client(Sqs(self.aws), kill),
        }
        runtime = boot.assemble(settings, registry, services, io=InTurn(), clock=lambda: self.aws.now)
        try:
            return worker.process(runtime, {"Records": [_record(m) for m in batch]}, Context(INVOCATION_S))
        except Killed:
            return None

    def _processor(self, kind: str) -> Callable[[Any], str]:
        def process(event: Any) -> str:
            if kind in self.broken:
                raise Reject("refused") if kind == "rejects" else ValueError("broken")
            self.effects.append(event.id)
            return "done"

        return process

    def _is_worn_out(self, message: dict[str, Any]) -> bool:
        """Move a message that was received too often to the DLQ, as SQS does."""
        if int(message["Attributes"]["ApproximateReceiveCount"]) <= MAX_RECEIVES:
            return False
        (held,) = [m for m in self.aws.queues[QUEUE] if m.message_id == message["MessageId"]]
        self.aws.queues[QUEUE].remove(held)
        held.hidden_until, held.receives = 0.0, 0
        self.aws.queues[DLQ].append(held)
        return True


def _map_in_turn(function: Callable[[Any], Any], elements: Iterable[Any], **_: Any) -> Iterator[Any]:
    return (function(element) for element in elements)


def _each_in_turn(
    elements: Iterable[Any], work: Callable[[Any], Iterable[Any]], *, stop: Stop, **_: Any
) -> Iterator[Any]:
    for element in elements:
        if stop.drain.is_set():
            return
        yield from work(element)


def _record(message: dict[str, Any]) -> dict[str, Any]:
    """A message as Lambda hands it to the worker."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {"dataType": value["DataType"], "stringValue": value["StringValue"]}
            for name, value in message["MessageAttributes"].items()
        },
    }
