"""The worker function: takes a batch of messages, and returns the ids of those to deliver again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.runtime import boot, closing, invocation, pipeline, portions, queue, wire
from rtp.runtime.delivery import Delivery
from rtp.runtime.event import Identity
from rtp.runtime.outcomes import Busy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.runtime.boot import Runtime
    from rtp.runtime.invocation import Invocation


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point for batches of the queue."""
    return process(boot.runtime(), event, context)


def process(runtime: Runtime, batch: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process a batch. The response has exactly the ids of the messages to deliver again, each once, never null."""
    retried: set[str] = set()
    with invocation.begin(runtime, context) as current:
        deliveries = [_delivery(runtime, message, current.id) for message in batch.get("Records", ())]
        # Last attempts first, in case the time runs out.
        ordered = sorted(deliveries, key=lambda one: not one.is_last)
        for number, portion in enumerate(portions.divide(ordered, runtime.settings.memory_mb), 1):
            retried |= _retried(
                current.portion(number), portion, is_late=number > 1 and not current.deadline.has_share()
            )
    ids = dict.fromkeys(one.message_id for one in deliveries)
    return {"batchItemFailures": [{"itemIdentifier": id} for id in ids if id in retried]}


def _retried(current: Invocation, portion: Sequence[Delivery], *, is_late: bool) -> set[str]:
    """Process a portion, and return the ids of the messages to deliver again. Nothing of it is kept in memory.

    is_late: the portions before it took the time; what has a later delivery waits for that.
    """
    postponed = [one for one in portion if is_late and not one.is_last]
    for delivery in postponed:
        closing.close(current, current.receive(delivery), Busy(0, is_postponed=True))
    received = [current.receive(one) for one in portion if not is_late or one.is_last]
    outcomes = pipeline.process(current, received)
    failed = [one.delivery for one, outcome in zip(received, outcomes, strict=True) if not outcome.is_done]
    return {one.message_id for one in [*postponed, *failed]}


def _delivery(runtime: Runtime, message: dict[str, Any], request_id: str) -> Delivery:
    attributes = message.get("messageAttributes") or {}
    system = message.get("attributes") or {}
    sent_at = int(system.get("SentTimestamp") or runtime.clock() * 1000)
    receives = int(system.get("ApproximateReceiveCount") or 1)

    def text(name: str) -> str:
        return queue.text_attribute(attributes, name)

    fallback = wire.fallback_identity(
        text(wire.REQUEST_ID), text(wire.REQUEST_TIME), message_id=message["messageId"], sent_at=sent_at
    )
    source = "redrive" if text(wire.REDRIVE) else text(wire.SOURCE)
    return Delivery(
        body=message["body"],
        source=source if source in wire.SOURCES else "queue",
        fallback=Identity(*fallback),
        request_id=request_id,
        sent=sent_at / 1000,
        trace_header=system.get(wire.TRACE_HEADER),
        message_id=message["messageId"],
        receipt_handle=message.get("receiptHandle", ""),
        receives=receives,
        is_last=receives >= runtime.settings.max_receive_count,
        depth=wire.integer(text(wire.DEPTH), digits=3, otherwise=0),
        replay=text(wire.REPLAY)[: wire.MAX_NAME],
        drill=text(wire.DRILL_RUN)[: wire.MAX_NAME],
        attributes=attributes,
    )


boot.prepare()
