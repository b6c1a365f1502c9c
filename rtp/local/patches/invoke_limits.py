"""Invocations: a payload that is not JSON or too large is refused before the function runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

# In bytes, by the type of the invocation; the queue of asynchronous ones takes less.
LIMITS = {"RequestResponse": 6 * 1024 * 1024, "Event": 1024 * 1024}
_PATH = "/invocations"


def install(_: Telemetry) -> None:
    """Install the patch."""
    import ministack.app
    from ministack.core import responses

    require(ministack.app, "SERVICE_HANDLERS")
    require(responses, "error_response_json")
    handlers = ministack.app.SERVICE_HANDLERS
    if "lambda" not in handlers:  # the environment may leave services out
        return
    handle = handlers["lambda"]

    async def checked(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        if method == "POST" and path.endswith(_PATH):
            refused = refusal(body or b"", headers.get("x-amz-invocation-type") or "RequestResponse")
            if refused is not None:
                code, message, status = refused
                return responses.error_response_json(code, message, status, content_type="application/json")
        return await handle(method, path, headers, body, query)

    handlers["lambda"] = checked


PATCH = Patch(
    name="invoke_limits",
    aws="Invoke refuses a payload that is not JSON, and one over 6 MB, or over 1 MB for an asynchronous invocation.",
    engine="The function is invoked with an empty event or with all of it.",
    test="tests/local/engine/test_limits.py::test_a_payload_that_lambda_does_not_take",
    install=install,
)


def refusal(body: bytes, kind: str) -> tuple[str, str, int] | None:
    """Why Lambda refuses a payload: code, message and status; None if it takes it."""
    limit = LIMITS.get(kind, LIMITS["RequestResponse"])
    if len(body) > limit:
        message = f"{len(body)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        return "RequestEntityTooLargeException", message, 413
    try:
        if body:
            json.loads(body)
    except ValueError as error:
        at = getattr(error, "pos", 0)
        character = body[at : at + 1].decode("latin-1")
        reason = (
            f"Unexpected character ('{character}' (code {ord(character)}))" if character else "Unexpected end-of-input"
        )
        message = f"Could not parse request body into json: Could not parse payload into json: {reason}"
        return "InvalidRequestContentException", message, 400
    return None
