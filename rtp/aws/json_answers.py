"""Answers with many elements, read as one JSON document: botocore's own parser takes ten times as long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from rtp import fastpath

if TYPE_CHECKING:
    from collections.abc import Callable

_DECODER = msgspec.json.Decoder()
_OPERATIONS = {  # each with what its answers have where a member is binary, which botocore decodes
    "cloudwatch-logs.FilterLogEvents": None,
    "dynamodb.BatchGetItem": re.compile(rb'"BS?"\s*:'),
    "dynamodb.Query": re.compile(rb'"BS?"\s*:'),
    "sqs.ReceiveMessage": re.compile(rb'"Binary(List)?Values?"\s*:'),
}


def attach(session: Any) -> None:
    """Read the answers of these operations here, for the session's clients.

    botocore calls the handlers of this event before it parses. If that changes, it parses as usual.
    """
    if fastpath.enabled("json-answers"):
        for operation, binary in _OPERATIONS.items():
            session.register(f"before-parse.{operation}", _reader(binary))


def _reader(binary: re.Pattern[bytes] | None) -> Callable[..., None]:
    def read(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
        body = response_dict.get("body")
        if response_dict.get("status_code") != 200 or not isinstance(body, bytes) or not body.startswith(b"{"):
            return
        if binary is not None and binary.search(body):
            return
        try:
            values = _DECODER.decode(body)
        except (msgspec.DecodeError, RecursionError):  # such as half of a surrogate pair, which Python's reader takes
            return
        customized_response_dict.update(values)
        response_dict["body"] = b"{}"

    return read
