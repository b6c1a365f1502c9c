"""The API function: takes one event and returns a response. Asynchronous invocations have the event as payload.

200 processed · 202 failed but queued · 400 not an event · 409 another event has its identity · 413 too large
415 not JSON · 422 rejected
503 could neither process nor queue: nothing was accepted
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from rtp.runtime import boot, errors, gateway, invocation, logs, outcomes, pipeline, retry, tracing, wire
from rtp.runtime.claims import Leased
from rtp.runtime.delivery import Delivery
from rtp.runtime.event import Identity
from rtp.runtime.outcomes import Busy, Conflict, Duplicate, Outage, Settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.runtime.boot import Runtime
    from rtp.runtime.deadline import Deadline
    from rtp.runtime.delivery import Received
    from rtp.runtime.event import InvalidEventError
    from rtp.runtime.outcomes import Outcome

_ASYNC_ATTEMPTS = 3  # by Lambda: the first and two retries
_BUSY_SECONDS, _POLL_SECONDS = 3.0, 0.1  # how long a repeat waits for the delivery that processes its event


class AsynchronousFailureError(Exception):
    """An asynchronous invocation failed; Lambda retries it, and then sends it to the dead-letter queue."""


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
    details = request.get("requestContext") or {}
    identity = Identity(
        str(details.get("requestId") or context.aws_request_id),
        int(details.get("requestTimeEpoch") or runtime.clock() * 1000),
    )
    try:
        body = gateway.body(request)
    except gateway.RefusedRequestError as refused:
        return refused.response
    delivery = Delivery(
        body=body, source="api", fallback=identity, request_id=identity.id, sent=identity.timestamp / 1000
    )
    with invocation.begin(runtime, context) as current:
        received = current.receive(delivery)
        if (invalid := received.reading.invalid) is not None:
            return _refuse(received, invalid)
        (result,) = pipeline.process(current, [received])
        if isinstance(result, Busy):
            result = _wait(runtime, received, result, current.deadline, sleep)
        return _respond(runtime, received, result)


def invoke(runtime: Runtime, payload: Any, context: Any) -> dict[str, Any]:
    """Process an asynchronously invoked event. Raises AsynchronousFailureError, so that Lambda retries it."""
    request_id = context.aws_request_id
    delivery = Delivery(
        body=json.dumps(payload, ensure_ascii=False),  # floats get the digits they were sent with
        source="api",
        fallback=Identity(request_id, _trace_time(runtime)),
        request_id=request_id,
        attempts=_ASYNC_ATTEMPTS,
    )
    with invocation.begin(runtime, context) as current:
        received = current.receive(delivery)
        (result,) = pipeline.process(current, [received])
    match result:
        case Settled(verdict) if result.is_done:
            message = verdict.outcome
        case Duplicate():
            message = "repeat"
        case Conflict():  # its message is in the dead-letter queue
            message = "conflict"
        case _:
            raise AsynchronousFailureError(_reason(result))
    return {"message": message, "id": received.event.id, "timestamp": received.event.timestamp}


def _refuse(received: Received, invalid: InvalidEventError) -> dict[str, Any]:
    """Refuse a request at once: nothing is archived or recorded."""
    fingerprint = logs.fingerprint(received.delivery.body)
    received.log(logs.info, "refused", str(invalid)[: errors.MAX_MESSAGE], **fingerprint)
    received.trace.end(invalid, rejected=True)
    return gateway.not_an_event(invalid.problems)


def _wait(
    runtime: Runtime, received: Received, busy: Busy, deadline: Deadline, sleep: Callable[[float], None]
) -> Outcome:
    """Wait for the delivery that processes the event now, and return its outcome, or `busy` if it does not end soon."""
    for _ in range(int(min(_BUSY_SECONDS, max(0.0, deadline.remaining())) / _POLL_SECONDS)):
        sleep(_POLL_SECONDS)
        try:
            by = runtime.store.get(received.event)
        except Exception as failure:
            received.log(logs.warning, "busy", errors.describe(failure).message)
            break
        if by is not None and not isinstance(by, Leased):
            return outcomes.taken(by, "")
        if by is None or by.until < runtime.clock():
            break
    return busy


def _respond(runtime: Runtime, received: Received, result: Outcome) -> dict[str, Any]:
    match result:
        case Settled(verdict) if verdict.kind == "processed":
            return _processed(received, verdict.result, received.trace.id)
        case Settled(verdict) if verdict.is_refused and verdict.error is not None:
            error = {"type": verdict.error.type, "message": verdict.error.message}
            return gateway.respond(422, message="rejected", id=received.event.id, error=error)
        case Duplicate():
            return _repeated(runtime, received, result)
        case Conflict():
            return gateway.conflict(received.event.identity, result.error)
        case _:
            return _queued(runtime, received, result)


def _repeated(runtime: Runtime, received: Received, duplicate: Duplicate) -> dict[str, Any]:
    result = duplicate.result
    if duplicate.result_key:
        try:
            result = runtime.archive.read_value(duplicate.result_key)
        except Exception as failure:
            return _unavailable(received, failure, "the event is processed; its result cannot be read now")
    # Only the header differs from the first response.
    return _processed(received, result, duplicate.trace_id or received.trace.id, {wire.REPLAYED_HEADER: "true"})


def _processed(received: Received, result: Any, trace_id: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    id, timestamp = received.event.identity
    return gateway.respond(
        200, headers, message="processed", id=id, timestamp=timestamp, trace_id=trace_id, result=result
    )


def _queued(runtime: Runtime, received: Received, result: Outcome) -> dict[str, Any]:
    """Queue the event for the worker, and respond 202."""
    delay = retry.pause(result, received.delivery, runtime.settings, runtime.clock())
    try:
        runtime.queues.submit(received.delivery, trace=received.trace.header, delay=delay)
    except Exception as failure:
        return _unavailable(received, failure, "the event cannot be processed now; it was not accepted")
    received.log(logs.info, "queued", "not processed here, queued for the worker", seconds=delay)
    id, timestamp = received.event.identity
    return gateway.respond(202, message="queued", id=id, timestamp=timestamp)


def _unavailable(received: Received, failure: Exception, message: str) -> dict[str, Any]:
    error = errors.describe(failure)
    received.log(logs.error, "unavailable", error.message, error_type=error.type, stack=logs.stack(failure))
    return gateway.respond(503, {"Retry-After": str(wire.RETRY_AFTER_SECONDS)}, message=message)


def _reason(result: Outcome) -> str:
    """Return why an asynchronous invocation failed."""
    match result:
        case Settled(verdict) if verdict.error is not None:
            error = verdict.error
        case Outage(cause=cause):
            error = errors.describe(cause)
        case _:
            error = errors.info("Busy", "another delivery is processing the event")
    return f"{error.type}: {error.message}"


def _trace_time(runtime: Runtime) -> int:
    """Return the time of the first attempt, epoch ms: an invocation's attempts share a trace id, which has it."""
    root = tracing.parse(os.environ.get(tracing.INVOCATION, "")).get("Root", "").split("-")
    try:
        return int(root[1], 16) * 1000
    except (IndexError, ValueError):
        return int(runtime.clock() * 1000)


boot.prepare()
