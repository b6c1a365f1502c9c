"""SQS: depth, receiving, and sending and deleting in batches."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.aws.answers import foreign
from rtp.aws.logs import server_ms
from rtp.errors import AwsError, RtpError
from rtp.runtime import partial, wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rtp.aws import Aws

BATCH = wire.MAX_BATCH_ENTRIES
_LINEAGE = re.compile(r"(^|;)\s*Lineage=[^;]*")

_OF_THE_MESSAGES = ("InvalidMessageContents", "InvalidParameterValue", "BatchRequestTooLong")

Attributes = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages a queue holds. SQS's numbers are approximate. server_ms: SQS's clock, truncated to the second.

    server_ms is None where the response has no date. retention_s: how long SQS keeps a message; None where not said.
    """

    visible: int
    in_flight: int
    delayed: int
    server_ms: int | None = None
    retention_s: int | None = None

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
    retention = "MessageRetentionPeriod"
    answer = aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=[*names, retention])
    try:
        visible, in_flight, delayed = (int(answer["Attributes"].get(name, 0)) for name in names)
        seconds = int(answer["Attributes"].get(retention) or 0)
    except ValueError:
        raise foreign(aws.where("sqs"), "sqs get_queue_attributes") from None
    return Depth(visible, in_flight, delayed, server_ms(answer), seconds or None)


def max_receives(aws: Aws, url: str) -> int | None:
    """The number of receives after which SQS moves a message to the dead-letter queue; None where it never does."""
    answer = aws.call("sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["RedrivePolicy"])
    policy = answer.get("Attributes", {}).get("RedrivePolicy")
    return int(json.loads(policy)["maxReceiveCount"]) if policy else None


def receive(aws: Aws, url: str, *, visibility_s: int, wait_s: int = 0, most: int = BATCH) -> list[Message]:
    """Receive up to `most` messages, then invisible to others for `visibility_s`. wait_s: for the first message.

    Empty too where 120,000 messages are in flight: SQS answers a long poll so, and a short one with OverLimit.
    """
    try:
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
    except AwsError as error:
        if error.service_code.endswith("OverLimit"):
            return []
        raise
    return [_message(m) for m in answer.get("Messages", ())]


def change_visibility(aws: Aws, url: str, receipts: Sequence[str], seconds: int) -> None:
    """Make received messages invisible for `seconds` from now; 0 makes them visible at once.

    Tries every batch, and ignores messages that are visible or deleted by now. Raises the last error of a whole call.
    """
    failure: RtpError | None = None

    def change(some: list[str]) -> list[str]:
        entries = [
            {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": seconds} for n, receipt in enumerate(some)
        ]
        answer = aws.call("sqs", "change_message_visibility_batch", QueueUrl=url, Entries=entries)
        return [some[int(f["Id"])] for f in answer.get("Failed", ()) if partial.may_pass(f)]

    for batch in _by_tens(receipts):
        try:
            partial.complete(change, batch)
        except RtpError as error:
            failure = error
    if failure is not None:
        raise failure


def delete(aws: Aws, url: str, receipts: Sequence[str]) -> list[str]:
    """Delete received messages. Returns the receipts of those that SQS did not delete."""
    refused: list[str] = []

    def remove(some: list[str]) -> list[str]:
        entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(some)]
        failed = aws.call("sqs", "delete_message_batch", QueueUrl=url, Entries=entries).get("Failed", ())
        refused.extend(some[int(f["Id"])] for f in failed if not partial.may_pass(f))
        return [some[int(f["Id"])] for f in failed if partial.may_pass(f)]

    for batch in _by_tens(receipts):
        left: list[str] = partial.complete(remove, batch)
        refused += left
    return refused


def send(aws: Aws, url: str, messages: Sequence[Outgoing]) -> list[Receipt]:
    """Send messages in as few calls as their sizes allow. Returns a Receipt for each, in their order."""
    receipts: dict[int, Receipt] = {}

    def transmit(some: list[int]) -> list[int]:
        """Send the messages of these numbers. Returns the numbers of those that SQS may take later."""
        entries = [_entry(n, messages[n]) for n in some]
        try:
            answer = aws.call("sqs", "send_message_batch", QueueUrl=url, Entries=entries)
        except AwsError as error:
            # What an earlier call has sent is reported as sent, although this one ends the rest.
            if not receipts and error.service_code not in _OF_THE_MESSAGES:
                raise
            receipts.update(dict.fromkeys(some, Receipt(error=error.message)))
            return []
        failed = {int(f["Id"]): f for f in answer.get("Failed", ())}
        receipts.update({int(e["Id"]): Receipt(message_id=e["MessageId"]) for e in answer.get("Successful", ())})
        receipts.update({n: Receipt(error=f"{f['Code']}: {f.get('Message', '')}") for n, f in failed.items()})
        return [n for n, f in failed.items() if partial.may_pass(f)]

    for batch in _batches(messages):
        partial.complete(transmit, batch)
    unanswered = Receipt(error="the response of SQS does not mention it")
    return [receipts.get(n, unanswered) for n in range(len(messages))]


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


def _batches(messages: Sequence[Outgoing]) -> Iterator[list[int]]:
    """The numbers of the messages, in batches that SQS takes."""
    batch: list[int] = []
    size = 0
    for number, message in enumerate(messages):
        if batch and (len(batch) == BATCH or size + message.size > wire.MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(number)
        size += message.size
    if batch:
        yield batch


def _by_tens(items: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), BATCH):
        yield list(items[start : start + BATCH])
