"""Queue to function: a message is deleted only if it is confirmed, and keeps its trace."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace as replace_fields
from typing import TYPE_CHECKING, Any

from rtp.local.patches import invocations
from rtp.local.patches.patch import Patch, replace, require
from rtp.local.tracing import header, services

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry
    from rtp.local.tracing.header import TraceHeader

log = logging.getLogger("rtp.event-source")


def install(telemetry: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import lambda_svc, sqs

    require(lambda_svc, "_execute_function", "_esm_backoff_until", "_ESM_BACKOFF_SECONDS")
    patch = EventSource(lambda_svc, sqs, telemetry)
    replace(lambda_svc, "_run_sqs_batch", patch.run, "esm func_rec event batch queue_url queue_name")


PATCH = Patch(
    name="event_source",
    aws=(
        "A batch response with an empty, unknown or misspelt item identifier fails the whole batch. A trace shows "
        "the time in the queue."
    ),
    engine=(
        "Such a response deletes messages that AWS would deliver again. The log of every batch is copied into the "
        "engine's log. No trace shows the time in the queue."
    ),
    test="tests/local/engine/test_patches.py::a_malformed_answer_deletes_messages",
    install=install,
)


class EventSource:
    """One batch from receipt to deletion."""

    def __init__(self, lambda_svc: Any, sqs: Any, telemetry: Telemetry) -> None:
        self._lambda = lambda_svc
        self._sqs = sqs
        self._traces = telemetry.traces

    def run(self, esm: Any, func_rec: Any, event: Any, batch: Any, queue_url: str, queue_name: str) -> None:
        """Invoke the function with a batch, and delete the messages that it has confirmed."""
        upstream = [self._waited(record, esm["EventSourceArn"]) for record in event["Records"]]
        # As on AWS, a batch gets a new trace with links to those of its messages.
        header.current.set(replace_fields(header.new(), sampled=None))
        invocations.links.set(tuple(trace for trace in upstream if trace))
        result = self._lambda._execute_function(func_rec, event)
        failed = None if result.get("error") else _failures(esm, result.get("body"), {m["id"] for m in batch})
        if failed is None:
            esm["LastProcessingResult"] = "FAILED"
            self._lambda._esm_backoff_until[esm["UUID"]] = time.time() + self._lambda._ESM_BACKOFF_SECONDS
            log.warning("%s failed a batch of %d from %s", esm["FunctionName"], len(batch), queue_name)
            return
        self._lambda._esm_backoff_until.pop(esm["UUID"], None)
        esm["LastProcessingResult"] = "OK"
        handles = {m["receipt_handle"] for m in batch if m["id"] not in failed and m.get("receipt_handle")}
        self._sqs._delete_messages_for_esm(queue_url, handles)

    def _waited(self, record: dict[str, Any], arn: str) -> TraceHeader | None:
        """Write the queue's segment at the first receipt; the function's segments become its children."""
        attributes = record["attributes"]
        trace = header.parse(attributes.get("AWSTraceHeader"))
        if trace is None or not trace.recorded:
            return None
        if attributes.get("ApproximateReceiveCount") != "1":
            return trace
        sent, received = (
            float(attributes[name]) / 1000 for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp")
        )
        segment_id = header.new_id()
        self._traces.add(services.wait(trace, segment_id, arn, record["messageId"], (sent, received)))
        below = trace.child(segment_id)
        attributes["AWSTraceHeader"] = str(below)
        return below


def _failures(esm: dict[str, Any], body: Any, ids: set[str]) -> set[str] | None:
    """Ids of the messages that the function did not confirm; None if its response fails the whole batch, as on AWS."""
    if "ReportBatchItemFailures" not in (esm.get("FunctionResponseTypes") or ()) or body in (None, "", {}):
        return set()
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return set()
    reported = body.get("batchItemFailures") if isinstance(body, dict) else []
    if not reported:
        return set()
    try:
        failed = {item["itemIdentifier"] for item in reported}
    except (TypeError, KeyError):
        return None
    return failed if failed <= ids else None
