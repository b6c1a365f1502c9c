"""SQS: hide a message until its next attempt, send to the dead-letter queue and to the worker, queue emitted events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.runtime import partial, wire
from rtp.runtime.errors import MAX_MESSAGE, sanitised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rtp.runtime.delivery import Delivery
    from rtp.runtime.errors import ErrorInfo
    from rtp.runtime.event import Emitted

_MAX_BATCH_BODIES = 240_000  # bytes; the rest of wire.MAX_BATCH_BYTES is for the attributes


class Queues:
    """The queue and its dead-letter queue."""

    def __init__(self, sqs: Any, queue_url: str, dlq_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._dlq_url = dlq_url

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Make a received message visible again after `seconds`."""
        self._sqs.change_message_visibility(
            QueueUrl=self._queue_url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=max(0, min(wire.MAX_VISIBILITY_SECONDS, seconds)),
        )

    def submit(self, delivery: Delivery, *, trace: str = "", delay: int = 0) -> None:
        """Queue the event of a request for the worker, with its identity."""
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=wire.message_body(delivery.body),
            DelaySeconds=min(wire.MAX_DELAY_SECONDS, delay),
            **_attributes(_strings(_sender(delivery)), trace),
        )

    def dead_letter(self, delivery: Delivery, error: ErrorInfo, *, trace: str = "") -> None:
        """Send the event to the dead-letter queue with the reason, and as many of the message's attributes as fit.

        The reason names those that do not.
        """
        own = {**_sender(delivery), wire.ERROR_TYPE: error.type, wire.ERROR_MESSAGE: error.message}
        theirs = {name: value for name, value in sendable(delivery.attributes).items() if name not in own}
        if len(own) + len(theirs) > wire.MAX_ATTRIBUTES:
            del own[wire.SOURCE]
        room = wire.MAX_ATTRIBUTES - len(own)
        if left_out := list(theirs)[room:]:
            note = f" (attributes for which SQS has no room: {', '.join(left_out)})"[: MAX_MESSAGE // 2]
            own[wire.ERROR_MESSAGE] = f"{error.message[: MAX_MESSAGE - len(note)]}{note}"
        attributes = {**dict(list(theirs.items())[:room]), **_strings(own)}
        body = wire.message_body(delivery.body)
        self._sqs.send_message(QueueUrl=self._dlq_url, MessageBody=body, **_attributes(attributes, trace))

    def emit(self, events: Sequence[Emitted], *, source: str = "queue", trace: str = "") -> None:
        """Queue the events that a processor emitted. Raises if SQS did not accept all of them.

        source: queue, or replay where the event that emitted them came by a replay.
        """
        batch: list[dict[str, Any]] = []
        size = 0
        for event in events:
            body = event.body
            length = len(body.encode())
            if batch and (len(batch) == wire.MAX_BATCH_ENTRIES or size + length > _MAX_BATCH_BODIES):
                self._send(batch)
                batch, size = [], 0
            attributes = _strings({wire.SOURCE: source, wire.DEPTH: str(event.depth)})
            batch.append({"Id": str(len(batch)), "MessageBody": body, **_attributes(attributes, trace)})
            size += length
        if batch:
            self._send(batch)

    def _send(self, entries: list[dict[str, Any]]) -> None:
        failures: list[dict[str, Any]] = []

        def transmit(some: list[dict[str, Any]]) -> list[dict[str, Any]]:
            """Send entries. Returns those that SQS may take later."""
            failures[:] = self._sqs.send_message_batch(QueueUrl=self._queue_url, Entries=some).get("Failed") or ()
            if not all(partial.may_pass(failure) for failure in failures):
                return []  # no repetition helps, and the whole emission fails
            ids = {failure["Id"] for failure in failures}
            return [entry for entry in some if entry["Id"] in ids]

        partial.complete(transmit, entries, calls=partial.CALLS_IN_FUNCTION)
        if failures:
            reason = failures[0].get("Message", "")
            raise EmissionFailedError(f"SQS did not accept {len(failures)} of {len(entries)} emitted events: {reason}")


class EmissionFailedError(Exception):
    """SQS did not accept all of the events a processor emitted."""


def text_attribute(attributes: Mapping[str, Any], name: str) -> str:
    """Return a string attribute of a received message; empty if it has none."""
    value = (attributes.get(name) or {}).get("stringValue")
    return value if isinstance(value, str) else ""


def sendable(received: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a received message's attributes for sending: Lambda has the fields in camelCase, binary in base64."""
    from base64 import b64decode

    attributes: dict[str, Any] = {}
    for name, value in received.items():
        kind = value.get("dataType", "String")
        if kind.startswith("Binary"):
            attributes[name] = {"DataType": kind, "BinaryValue": b64decode(value.get("binaryValue") or "")}
        else:
            attributes[name] = {"DataType": kind, "StringValue": value.get("stringValue") or " "}
    return attributes


def _sender(delivery: Delivery) -> dict[str, str]:
    return {
        wire.SOURCE: delivery.source,
        wire.REQUEST_ID: delivery.fallback.id,
        wire.REQUEST_TIME: str(delivery.fallback.timestamp),
    }


def _strings(values: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {"DataType": "String", "StringValue": safe}
        for name, value in values.items()
        if (safe := sanitised(value))
    }


def _attributes(attributes: dict[str, Any], trace: str) -> dict[str, Any]:
    """Return the fields of a message with its attributes and its trace."""
    fields: dict[str, Any] = {"MessageAttributes": attributes}
    if trace:
        fields["MessageSystemAttributes"] = {wire.TRACE_HEADER: {"DataType": "String", "StringValue": trace}}
    return fields
