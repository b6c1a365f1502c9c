"""The API's function: one event in, one answer out. Also takes asynchronous invocations, whose payload is the event.

200 processed · 202 failed but queued · 400 not an event · 413 too large · 415 not JSON · 422 rejected
503 could neither process nor queue: nothing was accepted
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
from typing import TYPE_CHECKING, Any

from rtp.runtime import boot, errors, jsontext, logs, pipeline, queue, tracing, wire
from rtp.runtime.deadline import Deadline
from rtp.runtime.delivery import Delivery, Job, Outcome, repeat, step
from rtp.runtime.event import Identity
from rtp.runtime.metrics import Metrics
from rtp.runtime.pipeline import Pipeline
from rtp.runtime.store import Known

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.runtime.boot import Runtime

RETRY_AFTER = 5  # s
REPLAYED = "Idempotent-Replayed"  # the field's name for it: the answer is that of an earlier request
_ASYNC_ATTEMPTS = 3  # Lambda's own: the first and two retries
_PATIENCE, _POLL = 3.0, 0.1  # s; how long a repeat waits for the delivery that is processing its event


class AsynchronousFailureError(Exception):
    """An asynchronous invocation failed; Lambda tries it again, and then sends it to the dead-letter queue."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Lambda's entry point for POST /process and for asynchronous invocations."""
    runtime = boot.runtime()
    if isinstance(event, dict) and "httpMethod" in event and "requestContext" in event:
        return answer(runtime, event, context)
    return invoke(runtime, event, context)


def answer(
    runtime: Runtime, request: dict[str, Any], context: Any, *, sleep: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Process the event in an API Gateway request and answer it."""
    about = request.get("requestContext") or {}
    identity = Identity(
        str(about.get("requestId") or context.aws_request_id),
        int(about.get("requestTimeEpoch") or runtime.clock() * 1000),
    )
    body = _body(request)
    if isinstance(body, dict):
        return body
    deadline = Deadline(context, clock=runtime.clock)
    metrics = Metrics(runtime.settings, runtime.registry.__contains__)
    delivery = Delivery(
        body=body, source="api", fallback=identity, request_id=identity.id, sent=identity.timestamp / 1000
    )
    job = pipeline.read(runtime, delivery, metrics)
    try:
        if job.invalid is not None:
            step(job, logs.info, "refused", str(job.invalid)[:500], **logs.fingerprint(body))
            job.trace.end(job.invalid, rejected=True)
            return _said(400, message="not an event", errors=_problems(job.invalid.problems))
        Pipeline(runtime, deadline, metrics, name=context.aws_request_id).process([job])
        return _answered(runtime, job, _awaited(runtime, job, deadline, sleep))
    finally:
        _flush(metrics)


def invoke(runtime: Runtime, payload: Any, context: Any) -> dict[str, Any]:
    """Process an asynchronously invoked event, or raise so that Lambda tries again."""
    deadline = Deadline(context, clock=runtime.clock)
    metrics = Metrics(runtime.settings, runtime.registry.__contains__)
    request_id = context.aws_request_id
    delivery = Delivery(
        body=json.dumps(payload, ensure_ascii=False),  # floats get back the digits they were sent with
        source="api",
        fallback=Identity(request_id, _trace_time(runtime)),
        request_id=request_id,
        attempts=_ASYNC_ATTEMPTS,
    )
    job = pipeline.read(runtime, delivery, metrics)
    try:
        Pipeline(runtime, deadline, metrics, name=request_id).process([job])
    finally:
        _flush(metrics)
    outcome = job.outcome or Outcome("failed")
    if not outcome.done:
        reason = outcome.error or errors.info("Busy", "another delivery is processing the event")
        raise AsynchronousFailureError(f"{reason.type}: {reason.message}")
    return {"message": outcome.kind, "id": job.event.id, "timestamp": job.event.timestamp}


def _awaited(runtime: Runtime, job: Job, deadline: Deadline, sleep: Callable[[float], None]) -> Outcome:
    """The outcome; that of the delivery which is at the event already, if it ends within our patience."""
    outcome = job.outcome or Outcome("failed")
    polls = int(min(_PATIENCE, max(0.0, deadline.remaining())) / _POLL) if outcome.kind == "busy" else 0
    for _ in range(polls):
        sleep(_POLL)
        try:
            standing = runtime.store.get(job.event.identity)
        except Exception as failure:
            step(job, logs.warning, "busy", errors.describe(failure).message)
            break
        if isinstance(standing, Known):
            return repeat(standing)
        if standing is None or standing.until < runtime.clock():
            break
    return outcome


def _answered(runtime: Runtime, job: Job, outcome: Outcome) -> dict[str, Any]:
    named: dict[str, Any] = {"id": job.event.id, "timestamp": job.event.timestamp}
    if outcome.kind in ("processed", "repeat"):
        return _processed(runtime, job, outcome, named)
    if outcome.kind == "rejected" and outcome.error is not None:
        error = {"type": outcome.error.type, "message": outcome.error.message}
        return _said(422, message="rejected", id=job.event.id, error=error)
    try:
        _queue(runtime, job, outcome)
    except Exception as failure:
        return _unavailable(job, failure, "cannot process the event now; it was not accepted")
    return _said(202, message="queued", **named)


def _processed(runtime: Runtime, job: Job, outcome: Outcome, named: dict[str, Any]) -> dict[str, Any]:
    result = outcome.result
    if outcome.result_key:
        try:
            result = runtime.archive.read_value(outcome.result_key)
        except Exception as failure:
            return _unavailable(job, failure, "the event is processed; its result cannot be read now")
    headers = {REPLAYED: "true"} if outcome.kind == "repeat" else None  # not in the body, which is the same for each
    return _said(200, headers, message="processed", **named, trace_id=outcome.trace_id or job.trace.id, result=result)


def _unavailable(job: Job, failure: Exception, message: str) -> dict[str, Any]:
    error = errors.describe(failure)
    step(job, logs.error, "unavailable", error.message, error_type=error.type, stack=logs.stack(failure))
    return _said(503, {"Retry-After": str(RETRY_AFTER)}, message=message)


def _queue(runtime: Runtime, job: Job, outcome: Outcome) -> None:
    """Hand the event to the worker, under the identity it has here."""
    settings, identity = runtime.settings, job.delivery.fallback
    if outcome.kind == "busy":
        delay = int(max(0.0, outcome.until - runtime.clock())) + 1
    elif outcome.outage:
        delay = queue.outage_backoff(1)
    else:
        delay = queue.backoff(1, base=settings.backoff_base, cap=settings.backoff_cap)
    attributes = {
        wire.SOURCE: "api",
        wire.REQUEST_ID: identity.id,
        wire.REQUEST_TIME: str(identity.timestamp),
    }
    runtime.queues.put(job.delivery.body, attributes, trace=job.trace.header, delay=delay)
    step(job, logs.info, "queued", "failed here, queued for the worker", seconds=delay)


def _body(request: dict[str, Any]) -> str | dict[str, Any]:
    """The request's text, or the answer that refuses it."""
    headers = {str(name).lower(): str(value) for name, value in (request.get("headers") or {}).items()}
    if headers.get("content-encoding", "identity").lower() != "identity" or not _is_json(
        headers.get("content-type", "")
    ):
        return _said(415, message="send application/json in UTF-8, not compressed")
    body = request.get("body") or ""
    try:
        data = base64.b64decode(body, validate=True) if request.get("isBase64Encoded") else body.encode()
        if len(data) > wire.MAX_BODY_BYTES:
            return _said(413, message=f"an event may have {wire.MAX_BODY_BYTES} bytes; this one has {len(data)}")
        return str(data, "utf-8")
    except (UnicodeError, binascii.Error) as error:
        return _said(400, message="not an event", errors=[{"path": "$", "message": f"not UTF-8 text: {error}"[:200]}])


def _is_json(content_type: str) -> bool:
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [p.partition("=")[2].strip('"') for p in parameters if p.startswith("charset=")]
    return kind == "application/json" and all(charset in ("utf-8", "utf8") for charset in charsets)


def _said(status: int, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": jsontext.dumps(body),
        "isBase64Encoded": False,
    }


def _problems(problems: tuple[jsontext.Problem, ...]) -> list[dict[str, str]]:
    return [{"path": problem.path, "message": problem.message} for problem in problems]


def _trace_time(runtime: Runtime) -> int:
    """When the first attempt was made, epoch ms: the attempts of an invocation share a trace, whose id says when."""
    root = tracing.parse(os.environ.get(tracing.INVOCATION, "")).get("Root", "").split("-")
    try:
        return int(root[1], 16) * 1000
    except (IndexError, ValueError):
        return int(runtime.clock() * 1000)


def _flush(metrics: Metrics) -> None:
    for line in metrics.lines():
        logs.emit(line)


boot.prepare()
