"""Message move tasks of DLQs, which the engine refuses as unknown actions."""

from __future__ import annotations

import binascii
import json
import threading
import time
import uuid
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.local.message_limits import within
from rtp.local.message_list import LOCK, messages_of
from rtp.local.patches.patch import Patch, require

if TYPE_CHECKING:
    from rtp.local.patches.queues import Queue
    from rtp.local.telemetry import Telemetry

MAX_RATE = 500  # messages per second, as on AWS
MAX_RESULTS = 10
_STEP_S = 0.05


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import sqs

    require(sqs, "_HANDLERS", "_Err", "_get_q", "_queue_by_arn", "_queues", "_externalize_url", "esm_wake")
    moves = Moves(sqs)
    for action, act in (
        ("StartMessageMoveTask", moves.start),
        ("ListMessageMoveTasks", moves.tasks),
        ("CancelMessageMoveTask", moves.cancel),
        ("ListDeadLetterSourceQueues", moves.sources),
    ):
        sqs._HANDLERS.setdefault(action, act)


PATCH = Patch(
    name="message_moves",
    aws="StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask and ListDeadLetterSourceQueues exist.",
    engine="Each of the four is refused as an unknown action.",
    test="tests/local/engine/test_patches.py::dlq_messages_cannot_be_moved",
    install=install,
)


@dataclass(slots=True)
class Task:
    """One redrive, as ListMessageMoveTasks returns it."""

    source: Queue
    source_arn: str
    destination_arn: str | None
    rate: int | None
    to_move: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "RUNNING"
    moved: int = 0
    started: int = field(default_factory=lambda: int(time.time() * 1000))
    failure: str | None = None

    @property
    def handle(self) -> str:
        """What cancels the task."""
        return b64encode(json.dumps({"taskId": self.id, "sourceArn": self.source_arn}).encode()).decode()

    def answer(self) -> dict[str, Any]:
        """As an entry of ListMessageMoveTasks."""
        body = {
            "Status": self.status,
            "SourceArn": self.source_arn,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.to_move,
            "StartedTimestamp": self.started,
        }
        if self.rate:
            body["MaxNumberOfMessagesPerSecond"] = self.rate
        if self.status == "RUNNING":
            body["TaskHandle"] = self.handle
        if self.destination_arn:
            body["DestinationArn"] = self.destination_arn
        if self.failure:
            body["FailureReason"] = self.failure
        return body


class Moves:
    """Tasks of this run of the engine."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs
        self._tasks: list[Task] = []

    def start(self, data: dict[str, Any], _url: str) -> dict[str, Any]:
        """StartMessageMoveTask."""
        arn = data.get("SourceArn", "")
        source = self._existing(arn, "SourceArn")
        if not self._sources_of(arn):
            raise self._sqs._Err("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
        if any(task.source_arn == arn and task.status == "RUNNING" for task in self._tasks):
            raise self._sqs._Err(
                "InvalidParameterValue",
                "There is already a task running. Only one active task is allowed for a source queue arn at a given "
                "time.",
            )
        destination = data.get("DestinationArn")
        if destination:
            self._existing(destination, "DestinationArn")
        rate = self._number(data, "MaxNumberOfMessagesPerSecond", MAX_RATE)
        task = Task(source, arn, destination, rate, len(source["messages"]))
        self._tasks.append(task)
        from ministack.core.concurrency import spawn_background

        spawn_background(self._run, task, thread_name="rtp-message-move")
        return {"TaskHandle": task.handle}

    def tasks(self, data: dict[str, Any], _url: str) -> dict[str, Any]:
        """ListMessageMoveTasks."""
        arn = data.get("SourceArn", "")
        self._existing(arn, "SourceArn")
        most = self._number(data, "MaxResults", MAX_RESULTS) or 1
        return {"Results": [task.answer() for task in reversed(self._tasks) if task.source_arn == arn][:most]}

    def cancel(self, data: dict[str, Any], _url: str) -> dict[str, Any]:
        """CancelMessageMoveTask."""
        handle = str(data.get("TaskHandle") or "")
        if not _is_handle(handle):
            raise self._sqs._Err("InvalidParameterValue", "Value for parameter TaskHandle is invalid.")
        self._existing(json.loads(b64decode(handle))["sourceArn"], "SourceArn")
        for task in self._tasks:
            if task.handle == handle and task.status == "RUNNING":
                task.status = "CANCELLING"
                return {"ApproximateNumberOfMessagesMoved": task.moved}
        raise self._sqs._Err("ResourceNotFoundException", "Task does not exist.", 404)

    def sources(self, data: dict[str, Any], url: str) -> dict[str, Any]:
        """ListDeadLetterSourceQueues."""
        dlq = self._sqs._get_q(data.get("QueueUrl") or url)
        urls = self._sources_of(dlq["attributes"]["QueueArn"])
        return {"queueUrls": [self._sqs._externalize_url(url) for url in urls]}

    def _run(self, task: Task) -> None:
        began = time.monotonic()
        while task.status == "RUNNING" and task.moved < task.to_move:
            allowed = min(int((time.monotonic() - began + _STEP_S) * (task.rate or MAX_RATE)) or 1, task.to_move)
            while task.moved < allowed and task.status == "RUNNING":
                if not self._move_one(task):
                    task.status = "FAILED" if task.failure else "COMPLETED"
            if task.moved < task.to_move:
                threading.Event().wait(_STEP_S)
        task.status = {"RUNNING": "COMPLETED", "CANCELLING": "CANCELLED"}.get(task.status, task.status)

    def _move_one(self, task: Task) -> bool:
        """Move the first visible message; False if there is none, or no destination."""
        now = time.time()
        with LOCK:
            messages = messages_of(task.source)
            message = messages.take(now)
            if message is None:
                return False
            arn = task.destination_arn or (message.get("sys") or {}).get("DeadLetterQueueSourceArn")
            destination = self._sqs._queue_by_arn(arn) if arn else None
            if destination is None:
                messages.changed(message)  # it stays
                task.failure = "AWS.SimpleQueueService.NonExistentQueue" if arn else "CouldNotDetermineMessageSource"
                return False
            messages.remove(message)
            messages_of(destination).append(_renewed(message, now))
        task.moved += 1
        self._sqs.esm_wake.set()
        return True

    def _number(self, data: dict[str, Any], name: str, most: int) -> int | None:
        """A parameter from 1 to `most`; None if it is not given."""
        value = data.get(name)
        if value is None:
            return None
        if not within(value, 1, most):
            raise self._sqs._Err(
                "InvalidParameterValue",
                f"Value {value} for parameter {name} is invalid. Reason: Must be between 1 and {most}, if provided.",
            )
        return int(str(value))

    def _existing(self, arn: str, parameter: str) -> Queue:
        queue: Queue | None = self._sqs._queue_by_arn(arn) if arn.startswith("arn:") else None
        if queue is None:
            raise self._sqs._Err(
                "ResourceNotFoundException",
                f"The resource that you specified for the {parameter} parameter doesn't exist.",
                404,
            )
        return queue

    def _sources_of(self, arn: str) -> list[str]:
        urls = []
        for url, queue in self._sqs._queues.items():
            policy = json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
            if policy.get("deadLetterTargetArn") == arn:
                urls.append(url)
        return urls


def _is_handle(text: str) -> bool:
    try:
        task = json.loads(b64decode(text, validate=True))
        return isinstance(task["taskId"], str) and isinstance(task["sourceArn"], str)
    except (binascii.Error, ValueError, TypeError, KeyError):
        return False


def _renewed(message: dict[str, Any], now: float) -> dict[str, Any]:
    """A redriven message is a new one, as on SQS: another id, age 0, no receipts."""
    system = {k: v for k, v in (message.get("sys") or {}).items() if k != "DeadLetterQueueSourceArn"}
    return {
        **message,
        "id": str(uuid.uuid4()),
        "sent_at": now,
        "enqueued_at": now,
        "visible_at": now,
        "received_at": now,
        "receive_count": 0,
        "first_receive_at": None,
        "receipt_handle": None,
        "sys": {**system, "SentTimestamp": str(int(now * 1000))},
    }
