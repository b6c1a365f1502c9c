"""Read DLQ messages: the event in each, and why it failed.

A DLQ message has one of two forms. Either its body is the event itself: SQS moved it after the last attempt, or the
worker moved it at once, with the reason in `rtp_error_*`. Or Lambda wrote it after the last attempt of an asynchronous
invocation: an envelope around the event, or the event with Lambda's own error attributes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from rtp.aws import queues, records
from rtp.ops import causes, releases
from rtp.ops.causes import Cause
from rtp.runtime import dlqnote, wire
from rtp.runtime.event import Identity, InvalidEventError, parse
from rtp.text import json_values, times
from rtp.text.json_values import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.aws.queues import Message
    from rtp.runtime.groups import Group

Kind = Literal["queue", "async"]
UNKNOWN = "no reason is recorded"
PROCESSED_SINCE = "processed since: a redrive removes this message and does not run the event again"
_LAMBDA_ERROR = ("ErrorCode", "ErrorMessage")  # attributes of Lambda's own dead-letter messages
_ROOT = re.compile(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})")


@dataclass(frozen=True, slots=True)
class DlqMessage:
    """A message of the dead-letter queue.

    body: the message's text as it is. attempts: of the event, that failed. error: why the event died.
    first_seen: when the event was accepted, ISO 8601; without a record, when the message was sent.
    release: of the last attempt; empty where it is not known. timestamp: the event's, epoch ms.
    event: its JSON text, without what Lambda put around it. kind: how the message got into the queue.
    fallback: the event's identity where its text has no id. message: the message itself.
    runs: attempts on the event's record, 0 without one. request_id: by which the record notes this message.
    is_noted: whether the record notes it. accepted_at: first_seen, epoch ms. raw_key: of the archived raw event.
    died_at: when this message's last attempt began, epoch ms; 0 where the record does not say it.
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
    request_id: str = field(default="", metadata=HIDDEN)
    is_noted: bool = field(default=False, metadata=HIDDEN)
    accepted_at: int = field(default=0, metadata=HIDDEN)
    raw_key: str = field(default="", metadata=HIDDEN)
    died_at: int = field(default=0, metadata=HIDDEN)
    release: str = ""

    @property
    def identity(self) -> Identity:
        """The event's (id, timestamp)."""
        return Identity(self.id, self.timestamp)

    @property
    def arrived_at(self) -> int:
        """When it came into the DLQ at the earliest, epoch ms: one that SQS moves keeps the time of its sending."""
        return max(self.message.sent_at, self.died_at)

    @property
    def group(self) -> Group:
        """The failures of the same cause."""
        return causes.group(self.type, self.error)


def read(message: Message) -> DlqMessage:
    """Read a message by itself. Its cause is empty where the message does not say it."""
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
        request_id=fallback.id,
        accepted_at=message.sent_at,
    )


def joined(aws: Aws, table: str, messages: Sequence[Message]) -> list[DlqMessage]:
    """Read messages and complete each by its event's record, in the same order."""
    dlq_messages = [read(m) for m in messages]
    keys = list(dict.fromkeys(dlq_message.identity for dlq_message in dlq_messages if _storable(dlq_message.identity)))
    by_key = {(str(r["id"]), int(r["timestamp"])): r for r in records.by_keys(aws, table, keys)}
    for dlq_message in dlq_messages:
        # Of an event without an id, an asynchronous invocation's message has the request id but not the timestamp.
        if dlq_message.kind == "async" and dlq_message.identity not in by_key and _storable(dlq_message.identity):
            of_id = records.by_id(aws, table, dlq_message.id)
            if of_id:
                by_key[dlq_message.identity] = of_id[-1]
    return [_with_record(dlq_message, by_key.get(dlq_message.identity)) for dlq_message in dlq_messages]


def _with_record(dlq_message: DlqMessage, record: dict[str, Any] | None) -> DlqMessage:
    cause = dlq_message.error
    if record is None:
        return dlq_message if cause.type or cause.message else replace(dlq_message, error=Cause("", UNKNOWN))
    error, is_processed = record.get("error"), record.get("status") == "processed"
    accepted = min(dlq_message.accepted_at, int(record.get("accepted_at") or dlq_message.accepted_at))
    # Of an asynchronous invocation, Lambda reports only that the handler failed; the record has the reason.
    is_vague = dlq_message.kind == "async" or not (cause.type or cause.message)
    if is_vague and isinstance(error, dict):
        cause = causes.of(error)
    elif (known := causes.of(error)).type == cause.type:  # the message may have a note of its own beside the reason
        cause = replace(cause, at=known.at, stored=known.stored)
    return replace(
        dlq_message,
        error=cause if cause.type or cause.message else Cause("", PROCESSED_SINCE if is_processed else UNKNOWN),
        type=dlq_message.type or str(record.get("type", "")),
        attempts=int(record.get("attempt_count", dlq_message.attempts)),
        trace_id=str(record.get("trace_id") or dlq_message.trace_id),
        timestamp=(timestamp := int(record["timestamp"])),
        fallback=Identity(dlq_message.id, timestamp)
        if dlq_message.id == dlq_message.fallback.id
        else dlq_message.fallback,
        runs=int(record.get("attempt_count", 0)),
        first_seen=times.iso(accepted),
        accepted_at=accepted,
        raw_key=str(record.get("raw_key", "")),
        died_at=_died_at(dlq_message, record),
        release=releases.of(record),
        is_noted=_note(record).get("request_id") == dlq_message.request_id,
    )


def _died_at(dlq_message: DlqMessage, record: dict[str, Any]) -> int:
    """SQS moves a message under the id by which the record has the last attempt's; one that rtp sends has another."""
    is_its = record.get("message_id") == dlq_message.message_id and record.get("status") == "dead"
    return int(record.get("attempted_at") or 0) if is_its else 0


def _note(record: dict[str, Any]) -> dict[str, Any]:
    """What the record notes of a message in the DLQ."""
    note = record.get(dlqnote.ATTRIBUTE)
    return note if isinstance(note, dict) else {}


def _identity(event: str, fallback: Identity) -> tuple[Identity, str]:
    try:
        parsed = parse(event, fallback)
    except InvalidEventError as error:
        return error.identity, error.type
    return parsed.identity, parsed.type


def _storable(identity: Identity) -> bool:
    """Whether DynamoDB accepts it as a key."""
    try:
        return 0 < len(identity.id.encode()) <= 2048
    except UnicodeEncodeError:
        return False


def _envelope(message: Message) -> tuple[str, Cause, str, int] | None:
    """Event, cause, request id and attempts from what Lambda wrote of a failed asynchronous invocation; else None."""
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
        str(response.get("errorMessage") or f"the invocation failed: {context.get('condition', '')}"),
    )
    tries = context.get("approximateInvokeCount")
    return (
        _payload(body["requestPayload"]),
        cause,
        str(context.get("requestId", "")),
        tries if isinstance(tries, int) else 1,
    )


def _payload(payload: Any) -> str:
    """The event that the function was invoked with: the payload itself, or the body of an API request."""
    if isinstance(payload, dict) and isinstance(payload.get("body"), str) and "requestContext" in payload:
        return str(payload["body"])
    return json_values.dumps(payload)


def attributes(dlq_message: DlqMessage, mark: str) -> tuple[queues.Attributes, list[str]]:
    """The attributes to redrive the event with, and the names of the sender's own for which SQS has no room.

    They are the message's own without its error, the run's mark, and the identity, which an event with an id of its own
    does not need: then a message with nine attributes keeps all of them.
    """
    identity = {wire.REQUEST_ID: dlq_message.fallback.id, wire.REQUEST_TIME: str(dlq_message.fallback.timestamp)}
    has_own_identity = dlq_message.identity != dlq_message.fallback
    needed = {wire.REDRIVE: mark, **({} if has_own_identity else identity)}
    optional = {wire.SOURCE: "redrive", **(identity if has_own_identity else {})}
    ours = (*needed, *optional, wire.ERROR_TYPE, wire.ERROR_MESSAGE, "RequestID", "ErrorType", *_LAMBDA_ERROR)
    others = [(name, value) for name, value in dlq_message.message.attributes.items() if name not in ours]
    room = wire.MAX_ATTRIBUTES - len(needed)
    free = max(0, room - len(others))
    own = {**needed, **dict(list(optional.items())[:free])}
    kept = {**dict(others[:room]), **{name: queues.attribute(value) for name, value in own.items()}}
    return kept, [name for name, _ in others[room:]]
