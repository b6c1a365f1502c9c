"""Queues: no message is lost between the server and the pollers, and a long queue is not read as a whole."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from rtp.local import message_limits, saved_state
from rtp.local.message_list import LOCK, messages_of
from rtp.local.metrics import Place
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

EXPIRY_INTERVAL_S = 1.0
MAX_HIDDEN_S = 43_200
_MAX_BATCH_BYTES = 1_048_576

Queue = dict[str, Any]
Message = dict[str, Any]


def install(telemetry: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import sqs

    require(sqs, "_Err", "_get_q", "_queue_by_arn", "_ensure_msg_fields", "_validate_batch_entries", "esm_wake")
    saved_state.read_messages()
    patch = Queues(sqs, telemetry)
    patch.collect_fifo = replace(sqs, "_collect_msgs", patch.collect, "q max_n vis_timeout")
    replace(sqs, "_dlq_sweep", patch.sweep, "q")
    replace(sqs, "_expire_retained", patch.expire, "q")
    replace(sqs, "_refresh_counts", patch.refresh, "q")
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
        "and the appended message is lost. Each receive, delete, change of visibility and count reads every message "
        "of the queue. "
        "SendMessageBatch drops system attributes, and the trace with them."
    ),
    test="tests/local/engine/test_patches.py::test_a_message_sent_while_a_poller_deletes",
    install=install,
)


class Queues:
    """The engine's queue operations on indexed messages, each change under one lock."""

    collect_fifo: Any
    send_one: Any

    def __init__(self, sqs: Any, telemetry: Telemetry) -> None:
        self._sqs = sqs
        self._metrics = telemetry.metrics
        self._expired: dict[str, float] = {}

    def collect(self, q: Queue, max_n: int, vis_timeout: int) -> list[Message]:
        """Receive messages; one that was received too often moves to the DLQ instead."""
        with LOCK:
            if q["is_fifo"]:
                messages = self.collect_fifo(q, max_n, vis_timeout)
                for message in messages:
                    messages_of(q).changed(message)
            else:
                messages = self._collect(q, max_n, vis_timeout)
        self.count(q, "NumberOfMessagesReceived", len(messages))
        return list(messages)

    def sweep(self, q: Queue) -> None:
        """Move messages to the DLQ; only a FIFO queue is read as a whole for that."""
        limit, dlq = self.redrive_target(q) if q["is_fifo"] else (0, None)
        if dlq is None or not limit:
            return
        now = time.time()
        with LOCK:
            for message in messages_of(q):
                if message["receive_count"] >= limit and message["visible_at"] <= now:
                    _move_to_dlq(message, dlq, q, now)

    def expire(self, q: Queue) -> None:
        """Drop messages older than the retention period, at most once a second."""
        name, now = _arn(q), time.time()
        if now - self._expired.get(name, 0) < EXPIRY_INTERVAL_S:
            return
        self._expired[name] = now
        messages_of(q).expire(now - float(q["attributes"].get("MessageRetentionPeriod") or 345_600))

    def refresh(self, q: Queue) -> None:
        """Count the messages for GetQueueAttributes."""
        self.expire(q)
        visible, in_flight, delayed = messages_of(q).counts(time.time())
        q["attributes"]["ApproximateNumberOfMessages"] = str(visible)
        q["attributes"]["ApproximateNumberOfMessagesNotVisible"] = str(in_flight)
        q["attributes"]["ApproximateNumberOfMessagesDelayed"] = str(delayed)

    def remove(self, q: Queue, handles: set[str]) -> int:
        """Delete the messages with these receipt handles; their number."""
        with LOCK:
            messages = messages_of(q)
            deleted = [message for handle in handles if (message := messages.with_handle(handle)) is not None]
            for message in deleted:
                messages.remove(message)
        self.count(q, "NumberOfMessagesDeleted", len(deleted))
        return len(deleted)

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
            message = messages_of(q).with_handle(handle)
            if message is None and not _is_handle(handle):
                raise self._not_a_handle(handle)
            if message is None:
                reason = "Message does not exist or is not available for visibility timeout change."
                raise self._invalid(handle, "ReceiptHandle", reason)
            if now - message.get("received_at", now) + seconds > MAX_HIDDEN_S:
                reason = f"Total VisibilityTimeout for the message is beyond the limit [{MAX_HIDDEN_S} seconds]"
                raise self._invalid(seconds, "VisibilityTimeout", reason)
            message["visible_at"] = now + seconds
            messages_of(q).changed(message)
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
        q = self._sqs._get_q(data.get("QueueUrl", qurl))
        with LOCK:
            messages_of(q)
            answer: dict[str, Any] = self.send_one(data, qurl)
        self.count(q, "NumberOfMessagesSent", 1)
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
        now, messages = time.time(), messages_of(q)
        received: list[Message] = []
        while len(received) < max_n and (message := messages.take(now)) is not None:
            self._sqs._ensure_msg_fields(message)
            if dlq is not None and limit and message["receive_count"] >= limit:
                _move_to_dlq(message, dlq, q, now)
                self._sqs.esm_wake.set()
                continue
            message["receipt_handle"] = str(uuid.uuid4())
            message["received_at"] = now
            message["visible_at"] = now + vis_timeout
            message["receive_count"] += 1
            message["first_receive_at"] = message.get("first_receive_at") or now
            received.append(message)
        for message in received:  # only now: one that is hidden for 0 s would be received again
            messages.changed(message)
        return received

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


def _move_to_dlq(message: Message, dlq: Queue, source: Queue, now: float) -> None:
    system = {"DeadLetterQueueSourceArn": _arn(source), **message.get("sys", {})}
    moved = {**message, "receipt_handle": None, "visible_at": now, "sys": system}
    if dlq.get("is_fifo"):
        moved["enqueued_at"] = now  # a standard queue keeps the original one
    messages_of(source).remove(message)
    messages_of(dlq).append(moved)


def _arn(q: Queue) -> str:
    return str(q["attributes"].get("QueueArn", ":::::"))


def _is_handle(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
