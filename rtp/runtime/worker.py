"""The queue's function: a batch of messages in, the ids of those that have to come again out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.runtime import boot, logs, pipeline, queue, wire
from rtp.runtime.deadline import Deadline
from rtp.runtime.delivery import Delivery
from rtp.runtime.event import Identity
from rtp.runtime.metrics import Metrics
from rtp.runtime.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.runtime.boot import Runtime
    from rtp.runtime.delivery import Job


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point for batches of the queue."""
    return work(boot.runtime(), event, context)


def work(runtime: Runtime, batch: dict[str, Any], context: Any) -> dict[str, Any]:
    """Process a batch and answer which of its messages failed."""
    deadline = Deadline(context, clock=runtime.clock)
    metrics = Metrics(runtime.settings, runtime.registry.__contains__)
    request_id = context.aws_request_id
    jobs = [
        pipeline.read(runtime, _delivery(runtime, record, request_id), metrics) for record in batch.get("Records", ())
    ]
    # Last attempts first: they have no other chance should time run out.
    ordered = sorted(jobs, key=lambda job: not job.delivery.last)
    try:
        Pipeline(runtime, deadline, metrics, name=request_id).process(ordered)
    finally:
        with logs.together():
            for line in metrics.lines():
                logs.emit(line)
    return response(jobs)


def response(jobs: Iterable[Job]) -> dict[str, Any]:
    """The partial batch response: exactly the messages that have to come again, each once, never null."""
    failed = {job.delivery.message_id: None for job in jobs if job.outcome is None or not job.outcome.done}
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _delivery(runtime: Runtime, record: dict[str, Any], request_id: str) -> Delivery:
    attributes = record.get("messageAttributes") or {}
    system = record.get("attributes") or {}
    sent = int(system.get("SentTimestamp") or runtime.clock() * 1000)
    receives = int(system.get("ApproximateReceiveCount") or 1)
    source = queue.text_attribute(attributes, wire.SOURCE)
    return Delivery(
        body=record["body"],
        source=source if source in wire.SOURCES else "queue",
        fallback=Identity(
            *wire.fallback_identity(
                queue.text_attribute(attributes, wire.REQUEST_ID),
                queue.text_attribute(attributes, wire.REQUEST_TIME),
                message_id=record["messageId"],
                sent_at=sent,
            )
        ),
        request_id=request_id,
        sent=sent / 1000,
        trace_header=system.get(wire.TRACE_HEADER),
        message_id=record["messageId"],
        receipt_handle=record.get("receiptHandle", ""),
        receives=receives,
        last=receives >= runtime.settings.max_receive_count,
        depth=wire.integer(queue.text_attribute(attributes, wire.DEPTH), digits=3, otherwise=0),
        replay=queue.text_attribute(attributes, wire.REPLAY)[: wire.MAX_NAME],
        attributes=attributes,
    )


boot.prepare()
