"""AWS's responses to a request that is unsigned, or signed with an unknown key, in the protocol of the request."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.asgi import Scope

_SCOPE = re.compile(r"[^/,\s]+(?:/[^/,\s]+){1,2}/([^/,\s]+)/aws4_request")  # Version 4A has no region
_DATED = re.compile(r"/\d{4}-\d{2}-\d{2}/")  # the paths of Lambda's API
_S3 = ("s3", "s3express", "s3-object-lambda")
_REST_XML = {"cloudfront": "/2020-05-31/", "route53": "/2013-04-01/"}  # and their paths
_API_PATHS = ("/_aws/", "/restapis/")
_MESSAGES = {
    "MissingAuthenticationToken": "Missing Authentication Token",
    "InvalidClientTokenId": "The security token included in the request is invalid.",
    "ExpiredToken": "The security token included in the request is expired",
}
# S3 has its own codes.
_OF_S3 = {
    "MissingAuthenticationToken": ("AccessDenied", "Access Denied"),
    "InvalidClientTokenId": ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "ExpiredToken": ("ExpiredToken", "The provided token has expired."),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that refuses a request."""

    status: int
    content_type: str
    body: bytes
    error_type: str = ""  # the header with the error code in REST-JSON


def answer(scope: Scope, code: str) -> Answer:
    """The response of the service that the request addresses.

    code: MissingAuthenticationToken, InvalidClientTokenId or ExpiredToken.
    """
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    service = _service(headers, query)
    body = {"__type": code, "message": _MESSAGES[code]}
    if "rpc-v2-cbor" in headers.get("smithy-protocol", ""):
        return Answer(403, "application/cbor", cbor(body))
    if "x-amz-target" in headers:
        requested = headers.get("content-type", "")
        kind = requested if requested.startswith("application/x-amz-json-1.") else "application/x-amz-json-1.0"
        return Answer(403, kind, json.dumps(body).encode(), code)
    is_query = "Action" in query or headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if service == "ec2":
        return _ec2()
    is_rest_xml = service in _REST_XML or (not service and scope["path"].startswith(tuple(_REST_XML.values())))
    if is_rest_xml or (is_query and service not in _S3):
        return _xml(f"<ErrorResponse>{_error(code, _MESSAGES[code], '<Type>Sender</Type>')}{_id()}</ErrorResponse>")
    if service in _S3 or (not service and not _is_json(scope["path"], headers.get("host", ""))):
        own_code, message = _OF_S3[code]
        text = f"<Error><Code>{own_code}</Code><Message>{message}</Message>{_id()}</Error>"
        # Without a signature it may be for another service, which reads the header.
        return replace(_xml(text, "application/xml"), error_type="" if service else code)
    return Answer(403, "application/json", json.dumps({"message": _MESSAGES[code]}).encode(), code)


def _service(headers: Mapping[str, str], query: Mapping[str, list[str]]) -> str:
    """The service in the credential scope; empty if there is none."""
    signed = [headers.get("authorization", ""), *query.get("X-Amz-Credential", ())]
    return next((scope[1] for text in signed if (scope := _SCOPE.search(text))), "")


def _is_json(path: str, host: str) -> bool:
    """Whether an unsigned request is for a REST API or for Lambda; otherwise it is for S3."""
    return path.startswith(_API_PATHS) or ".execute-api." in host or _DATED.match(path) is not None


def _xml(text: str, kind: str = "text/xml", status: int = 403) -> Answer:
    return Answer(status, kind, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode())


def _error(code: str, message: str, kind: str = "") -> str:
    return f"<Error>{kind}<Code>{code}</Code><Message>{message}</Message></Error>"


def _id() -> str:
    return f"<RequestId>{uuid.uuid4()}</RequestId>"


def _ec2() -> Answer:
    error = _error("AuthFailure", "AWS was not able to validate the provided access credentials")
    return _xml(f"<Response><Errors>{error}</Errors><RequestID>{uuid.uuid4()}</RequestID></Response>", status=401)


def cbor(texts: Mapping[str, str]) -> bytes:
    """A map of short texts in CBOR (RFC 8949)."""
    items = [part.encode() for item in texts.items() for part in item]
    # The head of a text has one byte for up to 23 bytes, two for up to 255.
    coded = [(bytes([0x60 + len(i)]) if len(i) < 24 else bytes([0x78, len(i)])) + i for i in items]
    return bytes([0xA0 + len(texts)]) + b"".join(coded)
