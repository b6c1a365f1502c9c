"""What Lambda sends to a dead-letter queue or a destination once every asynchronous attempt has failed."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

MAX_ERROR_BYTES = 1024  # of the message in an attribute
DEFAULT_RETRIES = 2
log = logging.getLogger("rtp.async-failures")


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import lambda_svc, sqs

    require(lambda_svc, "_functions")
    require(sqs, "_queue_by_arn", "_act_send_message", "_Err")
    failures = Failures(lambda_svc, sqs)
    failures.route_one = replace(
        lambda_svc, "_route_async_failure", failures.route, "target_arn func_name event result"
    )


PATCH = Patch(
    name="async_failures",
    aws=(
        "A dead-letter queue gets the event as it was, with RequestID, ErrorCode and ErrorMessage as attributes; an "
        "on-failure destination gets a record of the invocation with its id and time."
    ),
    engine="Both get the same record, without attributes, id and time.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)


class Failures:
    """The last step of an asynchronous invocation whose attempts have all failed."""

    route_one: Any

    def __init__(self, lambda_svc: Any, sqs: Any) -> None:
        self._lambda = lambda_svc
        self._sqs = sqs

    def route(self, target_arn: str, func_name: str, event: Any, result: dict[str, Any]) -> None:
        """Send to a queue as Lambda does; other targets are the engine's own."""
        queue = self._sqs._queue_by_arn(target_arn) if ":sqs:" in target_arn else None
        if queue is None:
            self.route_one(target_arn, func_name, event, result)
            return
        function = self._lambda._functions.get(func_name) or {}
        settings = function.get("event_invoke_config") or (function.get("event_invoke_configs") or {}).get("$LATEST")
        settings = settings or {}
        destination = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
        answer = result.get("body")
        body: dict[str, Any] = answer if isinstance(answer, dict) else {}
        if destination == target_arn:
            retries = settings.get("MaximumRetryAttempts")
            attempts = 1 + (DEFAULT_RETRIES if retries is None else int(retries))
            message: dict[str, Any] = {"MessageBody": json.dumps(_record(function, event, body, result, attempts))}
        else:
            message = {"MessageBody": json.dumps(event), "MessageAttributes": _attributes(body)}
        try:
            self._sqs._act_send_message({**message, "QueueUrl": queue["url"]}, queue["url"])
        except self._sqs._Err as error:
            log.error("%s: the failed event could not be sent to %s: %s", func_name, target_arn, error.message)


def _attributes(body: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a message in a dead-letter queue. ErrorCode is the status of the invocation."""
    text = str(body.get("errorMessage") or "").encode()[:MAX_ERROR_BYTES].decode(errors="ignore")
    values = (
        ("RequestID", "String", _request_id(body)),
        ("ErrorCode", "Number", "200"),
        ("ErrorMessage", "String", text),
    )
    return {name: {"DataType": kind, "StringValue": value} for name, kind, value in values if value}


def _record(
    function: dict[str, Any], event: Any, body: dict[str, Any], result: dict[str, Any], attempts: int
) -> dict[str, Any]:
    """The record of a failed invocation for a destination."""
    config = function.get("config") or {}
    version = str(config.get("Version") or "$LATEST")
    now = time.time()
    return {
        "version": "1.0",
        "timestamp": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z",
        "requestContext": {
            "requestId": _request_id(body),
            "functionArn": f"{config.get('FunctionArn', '')}:{version}",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": event,
        "responseContext": {
            "statusCode": 200,
            "executedVersion": version,
            "functionError": result.get("function_error") or "Unhandled",
        },
        "responsePayload": body,
    }


def _request_id(body: dict[str, Any]) -> str:
    """The id of the invocation, which Lambda's own errors have in their message."""
    named = str(body.get("errorMessage") or "").partition("RequestId: ")[2].partition(" ")[0]
    return str(body.get("requestId") or named)
