"""SQS: when a failed message comes back, what goes to the dead-letter queue, and what processors emit."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any

from rtp.runtime import wire
from rtp.runtime.errors import sanitised

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rtp.runtime.errors import ErrorInfo
    from rtp.runtime.event import Emitted

_OUTAGE_BASE, _OUTAGE_FACTOR, _OUTAGE_CAP = 10, 4, 900
_MAX_BATCH_BODIES = 240_000  # bytes; the rest of wire.MAX_BATCH_BYTES is for the attributes
_CHANCE = random.SystemRandom().random  # a snapshot's copies must not share their jitter


def backoff(receives: int, *, base: float, cap: float, rng: Callable[[], float] = _CHANCE) -> int:
    """Seconds until the next attempt: base, doubled with each receive, capped; the upper half is left to chance."""
    full: float = min(cap, base * 2.0 ** min(receives - 1, 32))
    return min(wire.MAX_VISIBILITY_SECONDS, math.ceil(full / 2 + rng() * full / 2))


def outage_backoff(receives: int, *, rng: Callable[[], float] = _CHANCE) -> int:
    """Seconds until the next attempt when AWS itself failed: about 10 s, 40 s, 160 s, 640 s.

    Longer than a processor's own failure waits, so that an outage of some minutes does not use up all attempts.
    """
    full: float = min(_OUTAGE_CAP, _OUTAGE_BASE * _OUTAGE_FACTOR ** min(receives - 1, 8))
    return math.ceil(full * (1 + rng() / 4))


class Queues:
    """The queue and its dead-letter queue."""

    def __init__(self, sqs: Any, queue_url: str, dlq_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._dlq_url = dlq_url

    def delay(self, receipt_handle: str, seconds: int) -> None:
        """Let a message come back in so many seconds."""
        self._sqs.change_message_visibility(
            QueueUrl=self._queue_url,
            ReceiptHandle=receipt_handle,
            VisibilityTimeout=max(0, min(wire.MAX_VISIBILITY_SECONDS, seconds)),
        )

    def put(self, body: str, attributes: Mapping[str, str], *, trace: str = "", delay: int = 0) -> None:
        """Queue a message."""
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=body,
            DelaySeconds=min(wire.MAX_DELAY_SECONDS, delay),
            **_carried(_text(attributes), trace),
        )

    def bury(
        self, body: str, original: Mapping[str, Any], error: ErrorInfo, *, own: Mapping[str, str], trace: str = ""
    ) -> None:
        """Send a message to the dead-letter queue with the reason and the attributes it came with (SQS takes ten)."""
        ours = _text({**own, wire.ERROR_TYPE: error.type, wire.ERROR_MESSAGE: error.message})
        kept = {name: value for name, value in original.items() if name not in ours}
        room = wire.MAX_ATTRIBUTES - len(ours)
        attributes = {**dict(list(kept.items())[: max(0, room)]), **ours}
        self._sqs.send_message(QueueUrl=self._dlq_url, MessageBody=body, **_carried(attributes, trace))

    def emit(self, events: Sequence[Emitted], *, trace: str = "") -> None:
        """Queue what a processor emitted. Raises if any of it was not taken."""
        batch: list[dict[str, Any]] = []
        size = 0
        for event in events:
            body = event.body
            length = len(body.encode())
            if batch and (len(batch) == wire.MAX_BATCH_ENTRIES or size + length > _MAX_BATCH_BODIES):
                self._send(batch)
                batch, size = [], 0
            attributes = _text({wire.SOURCE: "queue", wire.DEPTH: str(event.depth)})
            batch.append({"Id": str(len(batch)), "MessageBody": body, **_carried(attributes, trace)})
            size += length
        if batch:
            self._send(batch)

    def _send(self, entries: list[dict[str, Any]]) -> None:
        failed = self._sqs.send_message_batch(QueueUrl=self._queue_url, Entries=entries).get("Failed")
        if failed:
            raise EmissionFailedError(
                f"{len(failed)} of {len(entries)} messages were not taken: {failed[0].get('Message', '')}"
            )


class EmissionFailedError(Exception):
    """SQS did not take all of the events a processor emitted."""


def text_attribute(attributes: Mapping[str, Any], name: str) -> str:
    """A string attribute of a received message; empty if it has none."""
    value = (attributes.get(name) or {}).get("stringValue")
    return value if isinstance(value, str) else ""


def sendable(received: Mapping[str, Any]) -> dict[str, Any]:
    """A received message's attributes as they are sent; Lambda writes the fields in camelCase, binary in base64."""
    from base64 import b64decode

    made: dict[str, Any] = {}
    for name, value in received.items():
        kind = value.get("dataType", "String")
        if kind.startswith("Binary"):
            made[name] = {"DataType": kind, "BinaryValue": b64decode(value.get("binaryValue") or "")}
        else:
            made[name] = {"DataType": kind, "StringValue": value.get("stringValue") or " "}
    return made


def _text(attributes: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: {"DataType": "String", "StringValue": safe}
        for name, value in attributes.items()
        if (safe := sanitised(value))
    }


def _carried(attributes: dict[str, Any], trace: str) -> dict[str, Any]:
    made: dict[str, Any] = {"MessageAttributes": attributes}
    if trace:
        made["MessageSystemAttributes"] = {wire.TRACE_HEADER: {"DataType": "String", "StringValue": trace}}
    return made
