"""SQS: depth, receiving, and sending and deleting in batches."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, RtpError
from rtp.runtime import wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rtp.aws import Aws

BATCH = wire.MAX_BATCH_ENTRIES
_LINEAGE = re.compile(r"(^|;)\s*Lineage=[^;]*")

Attributes = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue holds. SQS's numbers are approximate."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All messages that are not deleted."""
        return self.visible + self.in_flight + self.delayed


@dataclass(frozen=True, slots=True)
class Message:
    """A received message. attributes: in SQS's form, so that they can be sent again unchanged. sent_at: epoch ms."""

    message_id: str
    receipt: str = field(repr=False)
    body: str
    attributes: Attributes
    sent_at: int
    receive_count: int
    trace_header: str = ""

    def text(self, attribute: str) -> str:
        """Value of a string attribute; empty where it is missing."""
        return str(self.attributes.get(attribute, {}).get("StringValue", ""))


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send."""

    body: str
    attributes: Attributes
    trace_header: str = ""

    @property
    def size(self) -> int:
        """Size in bytes, as SQS counts it against its limits."""
        return len(wire.message_body(self.body).encode("utf-8", "surrogatepass")) + sum(
            len(name) + sum(len(v) for v in value.values() if isinstance(v, str | bytes))
            for name, value in self.attributes.items()
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result for one Outgoing: its message id, or the error with which SQS rejected it."""

    message_id: str = ""
    error: str = ""


def attribute(value: str) -> dict[str, Any]:
    """A string as a message attribute."""
    return {"DataType": "String", "StringValue": value}


def depth(aws: Aws, url: str) -> Depth:
    """The depth of a queue."""
    names = (
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    )
    attributes = aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=list(names))["Attributes"]
    return Depth(*(int(attributes.get(name, 0)) for name in names))


def max_receives(aws: Aws, url: str) -> int | None:
    """The number of receives after which SQS moves a message to the dead-letter queue; None where it never does."""
    answer = aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["RedrivePolicy"])
    policy = answer.get("Attributes", {}).get("RedrivePolicy")
    return int(json.loads(policy)["maxReceiveCount"]) if policy else None


def receive(aws: Aws, url: str, *, visibility_s: int, wait_s: int = 0, most: int = BATCH) -> list[Message]:
    """Receive up to `most` messages, then invisible to others for `visibility_s`. wait_s: for the first message."""
    answer = aws.call(
        "sqs",
        "receive_message",
        QueueUrl=url,
        MaxNumberOfMessages=most,
        VisibilityTimeout=visibility_s,
        WaitTimeSeconds=wait_s,
        MessageSystemAttributeNames=["All"],
        MessageAttributeNames=["All"],
    )
    return [_message(m) for m in answer.get("Messages", ())]


def change_visibility(aws: Aws, url: str, receipts: Sequence[str], seconds: int) -> None:
    """Make received messages invisible for `seconds` from now; 0 makes them visible at once.

    Tries every batch, and ignores messages that are visible or deleted by now. Raises the last error of a whole call.
    """
    failure: RtpError | None = None
    for some in _by_tens(receipts):
        entries = [
            {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": seconds} for n, receipt in enumerate(some)
        ]
        try:
            aws.call("sqs", "change_message_visibility_batch", QueueUrl=url, Entries=entries)
        except RtpError as error:
            failure = error
    if failure is not None:
        raise failure


def delete(aws: Aws, url: str, receipts: Sequence[str]) -> list[str]:
    """Delete received messages. Returns the receipts of those that SQS did not delete."""
    failed: list[str] = []
    for some in _by_tens(receipts):
        entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(some)]
        answer = aws.call("sqs", "delete_message_batch", QueueUrl=url, Entries=entries)
        failed += [some[int(f["Id"])] for f in answer.get("Failed", ())]
    return failed


def send(aws: Aws, url: str, messages: Sequence[Outgoing]) -> list[Receipt]:
    """Send messages in as few calls as their sizes allow. Returns a Receipt for each, in their order."""
    receipts: list[Receipt] = []
    for some in _batches(messages):
        entries = [_entry(n, message) for n, message in enumerate(some)]
        try:
            answer = aws.call("sqs", "send_message_batch", QueueUrl=url, Entries=entries)
        except AwsError as error:
            if error.service_code not in ("InvalidMessageContents", "InvalidParameterValue", "BatchRequestTooLong"):
                raise
            receipts += [Receipt(error=error.message)] * len(some)
            continue
        outcome = {e["Id"]: Receipt(message_id=e["MessageId"]) for e in answer.get("Successful", ())}
        outcome |= {e["Id"]: Receipt(error=f"{e['Code']}: {e.get('Message', '')}") for e in answer.get("Failed", ())}
        receipts += [
            outcome.get(str(n), Receipt(error="the response of SQS does not mention it")) for n in range(len(some))
        ]
    return receipts


def _entry(number: int, message: Outgoing) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "Id": str(number),
        "MessageBody": wire.message_body(message.body),
        "MessageAttributes": message.attributes,
    }
    if message.trace_header:
        # Lambda stops a loop after sixteen hops, which it counts in the lineage; a command begins a new count.
        trace_header = _LINEAGE.sub("", message.trace_header).strip(";")
        entry["MessageSystemAttributes"] = {wire.TRACE_HEADER: attribute(trace_header)}
    return entry


def _message(m: dict[str, Any]) -> Message:
    system = m.get("Attributes", {})
    return Message(
        message_id=m["MessageId"],
        receipt=m["ReceiptHandle"],
        body=m["Body"],
        attributes={k: _sendable(v) for k, v in m.get("MessageAttributes", {}).items()},
        sent_at=int(system.get("SentTimestamp", 0)),
        receive_count=int(system.get("ApproximateReceiveCount", 0)),
        trace_header=system.get(wire.TRACE_HEADER, ""),
    )


def _sendable(value: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in value.items() if k in ("DataType", "StringValue", "BinaryValue")}


def _batches(messages: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    batch: list[Outgoing] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == BATCH or size + message.size > wire.MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += message.size
    if batch:
        yield batch


def _by_tens(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]
