"""What a message in the dead-letter queue is: the event in it, and why it died. Pure, but for reading the records.

Two kinds lie in one queue. The body of one is the event as it came: SQS moved it after its last attempt, or the worker
put it there at once with the reason in `rtp_error_*`. The other is what Lambda leaves of an asynchronous call that
failed for good: an envelope around the event, or the event with Lambda's own error attributes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from rtp.aws import queues, records
from rtp.runtime import errors, wire
from rtp.runtime.event import Identity, InvalidEventError, parse
from rtp.text import json_values, times
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rtp.aws import Aws
    from rtp.aws.queues import Message

Kind = Literal["queue", "async"]
UNKNOWN = "no reason is recorded"
SERVED = "processed since: a redrive takes the message away, and nothing runs twice"
_LAMBDA_ERROR = ("ErrorCode", "ErrorMessage")  # attributes of Lambda's own dead-letter messages
_ROOT = re.compile(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an event died.

    type: class of the exception; empty where no reason is recorded. message: its text.
    """

    type: str
    message: str

    @property
    def signature(self) -> str:
        """The same for like failures: numbers, ids and quoted words are left out."""
        return errors.info(self.type, self.message).signature if self.type else self.message


@dataclass(frozen=True, slots=True)
class DlqMessage:
    """A message of the dead-letter queue.

    body: the message's text as it is. attempts: of the event, that failed. error: why the event died.
    first_seen: when the event was first queued, ISO 8601. timestamp: the event's, epoch ms.
    event: its JSON text, without what Lambda put around it. kind: how the message got into the queue.
    fallback: the event's identity where its text has no id. message: the message itself.
    runs: attempts on the event's record, 0 without one.
    """

    message_id: str
    id: str
    type: str
    body: str
    attempts: int
    first_seen: str
    error: Cause
    trace_id: str
    timestamp: int = field(metadata=HIDDEN)
    event: str = field(metadata=HIDDEN)
    kind: Kind = field(metadata=HIDDEN)
    fallback: Identity = field(metadata=HIDDEN)
    message: Message = field(metadata=HIDDEN)
    runs: int = field(default=0, metadata=HIDDEN)

    @property
    def identity(self) -> Identity:
        """The event's (id, timestamp)."""
        return Identity(self.id, self.timestamp)


def read(message: Message) -> DlqMessage:
    """What the message itself says; an empty cause where it says nothing of why."""
    fallback = Identity(
        *wire.fallback_identity(
            message.text(wire.REQUEST_ID),
            message.text(wire.REQUEST_TIME),
            message_id=message.message_id,
            sent_at=message.sent_at,
        )
    )
    kind: Kind = "queue"
    cause = Cause(message.text(wire.ERROR_TYPE), message.text(wire.ERROR_MESSAGE))
    event, attempts = message.body, max(0, message.receive_count - 1)
    envelope = _envelope(message)
    if envelope is not None:
        kind, event, cause, request_id, attempts = "async", *envelope
        fallback = Identity(request_id or fallback.id, fallback.timestamp)
    identity, event_type = _identity(event, fallback)
    root = _ROOT.search(message.trace_header)
    return DlqMessage(
        message_id=message.message_id,
        id=identity.id,
        type=event_type,
        body=message.body,
        attempts=attempts,
        first_seen=times.iso(message.sent_at),
        error=cause,
        trace_id=root[1] if root else "",
        timestamp=identity.timestamp,
        event=event,
        kind=kind,
        fallback=fallback,
        message=message,
    )


def joined(aws: Aws, table: str, messages: Sequence[Message]) -> list[DlqMessage]:
    """The messages with what the events' records know of them, in the same order."""
    dlq_messages = [read(m) for m in messages]
    keys = list(dict.fromkeys(dlq_message.identity for dlq_message in dlq_messages if _storable(dlq_message.identity)))
    known = {(str(r["id"]), int(r["timestamp"])): r for r in records.by_keys(aws, table, keys)}
    for dlq_message in dlq_messages:
        # Who an event without an id is, an asynchronous call knows only in part: not when.
        if dlq_message.kind == "async" and dlq_message.identity not in known and _storable(dlq_message.identity):
            found = records.by_id(aws, table, dlq_message.id)
            if found:
                known[dlq_message.identity] = found[-1]
    return [_with_record(dlq_message, known.get(dlq_message.identity)) for dlq_message in dlq_messages]


def grouped(dlq_messages: Iterable[DlqMessage]) -> list[tuple[str, int]]:
    """Signatures of the causes and how many died of each, the most first."""
    counts: dict[str, int] = {}
    for dlq_message in dlq_messages:
        counts[dlq_message.error.signature] = counts.get(dlq_message.error.signature, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _with_record(dlq_message: DlqMessage, record: dict[str, Any] | None) -> DlqMessage:
    cause = dlq_message.error
    if record is None:
        return dlq_message if cause.type or cause.message else replace(dlq_message, error=Cause("", UNKNOWN))
    told, served = record.get("error"), record.get("status") == "processed"
    # Lambda knows of an asynchronous call only that the handler failed; the record knows why.
    silent = dlq_message.kind == "async" or not (cause.type or cause.message)
    if silent and isinstance(told, dict):
        cause = Cause(str(told.get("type", "")), str(told.get("message", "")))
    return replace(
        dlq_message,
        error=cause if cause.type or cause.message else Cause("", SERVED if served else UNKNOWN),
        type=dlq_message.type or str(record.get("type", "")),
        attempts=int(record.get("attempt_count", dlq_message.attempts)),
        trace_id=str(record.get("trace_id") or dlq_message.trace_id),
        timestamp=(timestamp := int(record["timestamp"])),
        fallback=Identity(dlq_message.id, timestamp)
        if dlq_message.id == dlq_message.fallback.id
        else dlq_message.fallback,
        runs=int(record.get("attempt_count", 0)),
    )


def _identity(event: str, fallback: Identity) -> tuple[Identity, str]:
    try:
        made = parse(event, fallback)
    except InvalidEventError as error:
        return error.identity, error.type
    return made.identity, made.type


def _storable(identity: Identity) -> bool:
    """Whether DynamoDB could hold it as a key."""
    try:
        return 0 < len(identity.id.encode()) <= 2048
    except UnicodeEncodeError:
        return False


def _envelope(message: Message) -> tuple[str, Cause, str, int] | None:
    """The event in what Lambda leaves of a failed asynchronous call, the cause, the request's id, the attempts."""
    if any(message.text(name) for name in _LAMBDA_ERROR):
        cause = Cause(message.text("ErrorType") or "LambdaError", message.text("ErrorMessage"))
        return message.body, cause, message.text("RequestID"), 3
    try:
        body = json_values.loads(message.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict) or "requestPayload" not in body or not isinstance(body.get("requestContext"), dict):
        return None
    context, response = body["requestContext"], body.get("responsePayload")
    response = response if isinstance(response, dict) else {}
    cause = Cause(
        str(response.get("errorType") or context.get("condition") or "LambdaError"),
        str(response.get("errorMessage") or f"the call failed: {context.get('condition', '')}"),
    )
    tries = context.get("approximateInvokeCount")
    return (
        _payload(body["requestPayload"]),
        cause,
        str(context.get("requestId", "")),
        tries if isinstance(tries, int) else 1,
    )


def _payload(payload: Any) -> str:
    """The event that the function was called with: itself, or the body of an API request."""
    if isinstance(payload, dict) and isinstance(payload.get("body"), str) and "requestContext" in payload:
        return str(payload["body"])
    return json_values.dumps(payload)


def attributes(dlq_message: DlqMessage, extra: dict[str, str]) -> queues.Attributes:
    """The attributes to send the event with: its own without why it died, and who it is."""
    mine = {wire.REQUEST_ID: dlq_message.fallback.id, wire.REQUEST_TIME: str(dlq_message.fallback.timestamp), **extra}
    kept = {
        name: value
        for name, value in dlq_message.message.attributes.items()
        if name not in (wire.ERROR_TYPE, wire.ERROR_MESSAGE, "RequestID", "ErrorType", *_LAMBDA_ERROR, *mine)
    }
    room = wire.MAX_ATTRIBUTES - len(mine)
    return {**dict(list(kept.items())[:room]), **{name: queues.attribute(value) for name, value in mine.items()}}
