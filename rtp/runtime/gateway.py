"""API Gateway's proxy format: read the text of an event from a request, and build responses."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from rtp.runtime import jsontext, wire
from rtp.runtime.jsontext import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.runtime.errors import ErrorInfo
    from rtp.runtime.event import Identity


REPLACEMENT = "\ufffd"
# API Gateway hands a function text: what is not UTF-8 has become U+FFFD, and what was sent is unknown.
_REPLACED = (
    "not UTF-8 text, or with U+FFFD, which stands for bytes that are not; a U+FFFD that is meant is sent as \\ufffd"
)


class RefusedRequestError(Exception):
    """The request has no text that could be an event; `response` says why."""

    def __init__(self, response: dict[str, Any]) -> None:
        super().__init__(response["body"])
        self.response = response


def body(request: dict[str, Any]) -> str:
    """Return the request's text. Raises RefusedRequestError."""
    headers = {str(name).lower(): str(value) for name, value in (request.get("headers") or {}).items()}
    if not _is_json(headers.get("content-type", "")):
        raise RefusedRequestError(respond(415, message="the content type must be application/json"))
    text = request.get("body") or ""
    try:
        data = base64.b64decode(text, validate=True) if request.get("isBase64Encoded") else text.encode()
        _check_size(len(data))
        body = str(data, "utf-8")
        if not request.get("isBase64Encoded") and REPLACEMENT in body:
            raise RefusedRequestError(not_an_event([Problem("$", _REPLACED)]))
    except (UnicodeError, binascii.Error) as error:
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise RefusedRequestError(respond(415, message="the body must not be compressed")) from None
        raise RefusedRequestError(not_an_event([Problem("$", f"not UTF-8 text: {error}"[:200])])) from None
    message = wire.message_body(body)
    if message is not body:  # an event that fails here is queued, and its message has to fit too
        _check_size(len(message.encode()))
    return body


def _check_size(size: int) -> None:
    if size > wire.MAX_BODY_BYTES:
        message = f"the body has {size} bytes; the limit is {wire.MAX_BODY_BYTES}"
        raise RefusedRequestError(respond(413, message=message))


def respond(status: int, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    """Build a response with a JSON body."""
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", **(headers or {})},
        "body": jsontext.dumps(body),
        "isBase64Encoded": False,
    }


def not_an_event(problems: Sequence[Problem]) -> dict[str, Any]:
    """Build the response 400, with the path of each problem."""
    return respond(400, message="not an event", errors=[problem._asdict() for problem in problems])


def conflict(identity: Identity, error: ErrorInfo) -> dict[str, Any]:
    """Build the response 409: another event has this identity."""
    reason = {"type": error.type, "message": error.message}
    return respond(409, message="conflict", id=identity.id, timestamp=identity.timestamp, error=reason)


def _is_json(content_type: str) -> bool:
    """As API Gateway decides for POST /events: JSON without a type, and whatever the parameters say.

    JSON is UTF-8 and has no charset (RFC 8259); a body in another encoding is refused for its bytes.
    """
    return content_type.partition(";")[0].strip().lower() in ("", "application/json")
