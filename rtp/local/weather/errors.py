"""Error responses in the protocol of the call."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rtp.local.refusals import cbor

if TYPE_CHECKING:
    from rtp.local.weather.call import Protocol

Headers = tuple[tuple[bytes, bytes], ...]
_QUERY_CODES = {"sqs"}  # JSON services that also give the code that they had in the query protocol


def request_id() -> Headers:
    """The header with the request's id."""
    return ((b"x-amzn-requestid", str(uuid.uuid4()).encode()),)


def body(protocol: Protocol, service: str, code: str, message: str, status: int) -> tuple[bytes, bytes, Headers]:
    """Content type, body and headers of an error."""
    if protocol == "cbor":
        return b"application/cbor", cbor({"__type": code, "message": message}), ((b"smithy-protocol", b"rpc-v2-cbor"),)
    if protocol == "json":
        fault = "Sender" if status < 500 else "Receiver"
        query = ((b"x-amzn-query-error", f"{code};{fault}".encode()),) if service in _QUERY_CODES else ()
        return b"application/x-amz-json-1.0", json.dumps({"__type": code, "message": message}).encode(), query
    if protocol == "rest-json":
        return b"application/json", json.dumps({"message": message}).encode(), ((b"x-amzn-errortype", code.encode()),)
    if protocol == "http":
        return b"application/json", json.dumps({"message": message}).encode(), ((b"x-amzn-errortype", code.encode()),)
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    identifier = f"<RequestId>{uuid.uuid4()}</RequestId>"
    if service == "s3":
        text = f"<Error>{error}{identifier}</Error>"
    else:
        fault = "Sender" if status < 500 else "Receiver"
        text = f"<ErrorResponse><Error><Type>{fault}</Type>{error}</Error>{identifier}</ErrorResponse>"
    return b"text/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), ()
