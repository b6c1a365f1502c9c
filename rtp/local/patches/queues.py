"""Queues: no message is lost between the server and the pollers, and a long queue is not read as a whole."""

from __future__ import annotations

import json
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from rtp.local import message_limits
from rtp.local.metrics import Place
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

EXPIRY_INTERVAL_S = 1.0
MAX_HIDDEN_S = 43_200
_MAX_BATCH_BYTES = 1_048_576

Queue = dict[str, Any]
Message = dict[str, Any]
LOCK = threading.RLock()  # of every change to a queue's list of messages


def install(telemetry: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import sqs

    require(sqs, "_Err", "_get_q", "_queue_by_arn", "_ensure_msg_fields", "_validate_batch_entries", "esm_wake")
    patch = Queues(sqs, telemetry)
    patch.collect_fifo = replace(sqs, "_collect_msgs", patch.collect, "q max_n vis_timeout")
    replace(sqs, "_dlq_sweep", patch.sweep, "q")
    replace(sqs, "_expire_retained", patch.expire, "q")
    replace(sqs, "_delete_messages_for_esm", patch.delete_for_poller, "queue_url receipt_handles")
    patch.send_one = replace(sqs, "_act_send_message", patch.send, "data qurl")
    for action, name, new in (
        ("DeleteMessage", "_act_delete_message", patch.delete),
        ("DeleteMessageBatch", "_act_delete_message_batch", patch.delete_batch),
        ("SendMessageBatch", "_act_send_message_batch", patch.send_batch),
        ("ChangeMessageVisibility", "_act_change_visibility", patch.hide),
        ("ChangeMessageVisibilityBatch", "_act_change_visibility_batch", patch.hide_batch),
    ):
        replace(sqs, name, new, "data qurl")
        sqs._HANDLERS[action] = new
    sqs._HANDLERS["SendMessage"] = patch.send


PATCH = Patch(
    name="queues",
    aws=(
        "No message is lost while another one is deleted; SendMessageBatch keeps the system attributes of each entry."
    ),
    engine=(
        "A poller's thread replaces the list of messages with a copy while the server appends to the old list, "
        "and the appended message is lost. Each receive and delete reads every message that waits. "
        "SendMessageBatch drops system attributes, and the trace with them."
    ),
    test="tests/local/engine/test_patches.py::test_a_message_sent_while_a_poller_deletes",
    install=install,
)


class Queues:
    """The engine's queue operations on lists that change only in place, each change under one lock."""

    collect_fifo: Any
    send_one: Any

    def __init__(self, sqs: Any, telemetry: Telemetry) -> None:
        self._sqs = sqs
        self._metrics = telemetry.metrics
        self._expired: dict[str, float] = {}

    def collect(self, q: Queue, max_n: int, vis_timeout: int) -> list[Message]:
        """Receive messages; one that was received too often moves to the DLQ instead."""
        with LOCK:
            messages = (
                self.collect_fifo(q, max_n, vis_timeout) if q["is_fifo"] else self._collect(q, max_n, vis_timeout)
            )
        self.count(q, "NumberOfMessagesReceived", len(messages))
        return list(messages)

    def sweep(self, q: Queue) -> None:
        """Move messages to the DLQ; only a FIFO queue is read as a whole for that."""
        limit, dlq = self.redrive_target(q) if q["is_fifo"] else (0, None)
        if dlq is None or not limit:
            return
        now = time.time()
        with LOCK:
            dead = [
                index
                for index, message in enumerate(q["messages"])
                if message["receive_count"] >= limit and message["visible_at"] <= now
            ]
            for index in dead:
                _move_to_dlq(q["messages"][index], dlq, q, now)
            drop(q, dead)

    def expire(self, q: Queue) -> None:
        """Drop messages older than the retention period, at most once a second."""
        name, now = _arn(q), time.time()
        if now - self._expired.get(name, 0) < EXPIRY_INTERVAL_S:
            return
        self._expired[name] = now
        oldest = now - float(q["attributes"].get("MessageRetentionPeriod") or 345_600)
        with LOCK:
            drop(q, [i for i, m in enumerate(q["messages"]) if _enqueued(m, now) <= oldest])

    def remove(self, q: Queue, handles: set[str]) -> int:
        """Delete the messages with these receipt handles; their number."""
        hits: list[int] = []
        with LOCK:
            for index, message in enumerate(q["messages"]):
                if message.get("receipt_handle") in handles:
                    hits.append(index)
                    if len(hits) == len(handles):
                        break
            drop(q, hits)
        self.count(q, "NumberOfMessagesDeleted", len(hits))
        return len(hits)

    def delete_for_poller(self, queue_url: str, receipt_handles: set[str]) -> None:
        """Delete messages of a batch, for the poller."""
        if receipt_handles:
            self.remove(self._sqs._get_q(queue_url), receipt_handles)

    def delete(self, data: dict[str, Any], qurl: str) -> dict[str, Any]:
        """DeleteMessage. As on AWS, a deleted message can be deleted again."""
        q = self._sqs._get_q(data.get("QueueUrl", qurl), "sqs:DeleteMessage")
        handle = data.get("ReceiptHandle", "")
        if not handle:
            raise self._sqs._Err("MissingParameter", "The request must contain the parameter ReceiptHandle.")
        if not self.remove(q, {handle}) and not _is_handle(handle):
            raise self._not_a_handle(handle)
        return {}

    def delete_batch(self, data: dict[str, Any], qurl: str) -> dict[str, Any]:
        """DeleteMessageBatch."""
        url = data.get("QueueUrl", qurl)
        self._sqs._get_q(url, "sqs:DeleteMessage")
        self._sqs._validate_batch_entries(data.get("Entries", []), "DeleteMessageBatchRequestEntry")
        return self._each(data["Entries"], lambda e: self.delete({**e, "QueueUrl": url}, url))

    def hide(self, data: dict[str, Any], qurl: str) -> dict[str, Any]:
        """ChangeMessageVisibility. AWS hides a message for twelve hours in all, counted from its receipt."""
        q = self._sqs._get_q(data.get("QueueUrl", qurl), "sqs:ChangeMessageVisibility")
        handle, timeout = str(data.get("ReceiptHandle") or ""), data.get("VisibilityTimeout")
        for name, value in (("ReceiptHandle", handle or None), ("VisibilityTimeout", timeout)):
            if value is None:
                raise self._sqs._Err("MissingParameter", f"The request must contain the parameter {name}.")
        if not message_limits.within(timeout, 0, MAX_HIDDEN_S):
            reason = f"VisibilityTimeout must be an integer between 0 and {MAX_HIDDEN_S}."
            raise self._invalid(timeout, "VisibilityTimeout", reason)
        now, seconds = time.time(), int(str(timeout))
        with LOCK:
            message = next((m for m in q["messages"] if m.get("receipt_handle") == handle), None)
            if message is None and not _is_handle(handle):
                raise self._not_a_handle(handle)
            if message is None:
                reason = "Message does not exist or is not available for visibility timeout change."
                raise self._invalid(handle, "ReceiptHandle", reason)
            if now - message.get("received_at", now) + seconds > MAX_HIDDEN_S:
                reason = f"Total VisibilityTimeout for the message is beyond the limit [{MAX_HIDDEN_S} seconds]"
                raise self._invalid(seconds, "VisibilityTimeout", reason)
            message["visible_at"] = now + seconds
        if not seconds:
            self._sqs.esm_wake.set()
        return {}

    def hide_batch(self, data: dict[str, Any], qurl: str) -> dict[str, Any]:
        """ChangeMessageVisibilityBatch."""
        url = data.get("QueueUrl", qurl)
        self._sqs._get_q(url, "sqs:ChangeMessageVisibility")
        entries = data.get("Entries", [])
        self._sqs._validate_batch_entries(entries, "ChangeMessageVisibilityBatchRequestEntry")
        return self._each(entries, lambda e: self.hide({**e, "QueueUrl": url}, url))

    def send(self, data: dict[str, Any], qurl: str) -> dict[str, Any]:
        """SendMessage."""
        with LOCK:
            answer: dict[str, Any] = self.send_one(data, qurl)
        self.count(self._sqs._get_q(data.get("QueueUrl", qurl)), "NumberOfMessagesSent", 1)
        return answer

    def send_batch(self, data: dict[str, Any], qurl: str) -> dict[str, Any]:
        """SendMessageBatch, with the system attributes of each entry, and so its trace."""
        url = data.get("QueueUrl", qurl)
        self._sqs._get_q(url, "sqs:SendMessage")
        entries = data.get("Entries", [])
        self._sqs._validate_batch_entries(entries, "SendMessageBatchRequestEntry")
        size = sum(message_limits.size(entry) for entry in entries)
        if size > _MAX_BATCH_BYTES:
            raise self._sqs._Err(
                "BatchRequestTooLong",
                f"Batch requests cannot be longer than {_MAX_BATCH_BYTES} bytes. You have sent {size} bytes.",
            )
        return self._each(entries, lambda e: self.send({**e, "QueueUrl": url}, url))

    def count(self, q: Queue, metric: str, value: int) -> None:
        """Report one of SQS's metrics."""
        if value:
            _, _, _, region, account, name = _arn(q).split(":", 5)
            self._metrics.record(Place(account, region), "AWS/SQS", metric, value, "Count", {"QueueName": name})

    def redrive_target(self, q: Queue) -> tuple[int, Queue | None]:
        """maxReceiveCount, and the DLQ if there is one."""
        try:
            policy = json.loads(q["attributes"].get("RedrivePolicy") or "{}")
            return int(policy["maxReceiveCount"]), self._sqs._queue_by_arn(policy["deadLetterTargetArn"])
        except (ValueError, TypeError, KeyError):
            return 0, None

    def _collect(self, q: Queue, max_n: int, vis_timeout: int) -> list[Message]:
        limit, dlq = self.redrive_target(q)
        now = time.time()
        messages: list[Message] = []
        dead: list[int] = []
        for index, message in enumerate(q["messages"]):
            if message.get("visible_at", 0) > now:
                continue
            self._sqs._ensure_msg_fields(message)
            if dlq is not None and limit and message["receive_count"] >= limit:
                dead.append(index)
                _move_to_dlq(message, dlq, q, now)
                continue
            message["receipt_handle"] = str(uuid.uuid4())
            message["received_at"] = now
            message["visible_at"] = now + vis_timeout
            message["receive_count"] += 1
            message["first_receive_at"] = message.get("first_receive_at") or now
            messages.append(message)
            if len(messages) == max_n:
                break
        if dead:
            drop(q, dead)
            self._sqs.esm_wake.set()
        return messages

    def _invalid(self, value: Any, name: str, reason: str) -> Exception:
        message = f"Value {value} for parameter {name} is invalid. Reason: {reason}"
        error: Exception = self._sqs._Err("InvalidParameterValue", message)
        return error

    def _not_a_handle(self, handle: str) -> Exception:
        message = f'The input receipt handle "{handle}" is not a valid receipt handle.'
        error: Exception = self._sqs._Err("ReceiptHandleIsInvalid", message, 404)
        return error

    def _each(self, entries: list[dict[str, Any]], act: Any) -> dict[str, Any]:
        done, failed = [], []
        for entry in entries:
            try:
                done.append({**act(entry), "Id": entry.get("Id", "")})
            except self._sqs._Err as error:
                failed.append(
                    {"Id": entry.get("Id", ""), "Code": error.code, "Message": error.message, "SenderFault": True}
                )
        return {"Successful": done, "Failed": failed}


def drop(q: Queue, indices: list[int]) -> None:
    """Remove messages by position, from the end; others may append meanwhile. Needs the lock."""
    for index in reversed(indices):
        del q["messages"][index]


def _move_to_dlq(message: Message, dlq: Queue, source: Queue, now: float) -> None:
    system = {"DeadLetterQueueSourceArn": _arn(source), **message.get("sys", {})}
    moved = {**message, "receipt_handle": None, "visible_at": now, "sys": system}
    if dlq.get("is_fifo"):
        moved["enqueued_at"] = now  # a standard queue keeps the original one
    dlq["messages"].append(moved)


def _enqueued(message: Message, now: float) -> float:
    return float(message.get("enqueued_at") or message.get("sent_at") or now)


def _arn(q: Queue) -> str:
    return str(q["attributes"].get("QueueArn", ":::::"))


def _is_handle(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
