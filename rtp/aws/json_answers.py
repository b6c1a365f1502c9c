"""Answers with many elements, read as one JSON document: botocore's own parser takes ten times as long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, TypedDict

import msgspec

from rtp import fastpath
from rtp.aws.answers import wrongly_typed

if TYPE_CHECKING:
    from collections.abc import Callable

_Item = dict[str, dict[str, Any]]
_LATEST_MS = 253_402_300_799_999  # the end of the year 9999, after which there is no date
_BINARY = re.compile(rb'"BS?"\s*:')


class _LogEvent(TypedDict):
    timestamp: Annotated[int, msgspec.Meta(ge=0, le=_LATEST_MS)]
    message: NotRequired[str]
    logStreamName: NotRequired[str]
    ingestionTime: NotRequired[int | None]  # which an engine may not know, and not its id either
    eventId: NotRequired[str | None]


class _Events(TypedDict, total=False):
    events: list[_LogEvent]
    nextToken: str | None


class _Batch(TypedDict, total=False):
    Responses: dict[str, list[_Item]]
    UnprocessedKeys: dict[str, Any] | None


class _Page(TypedDict, total=False):
    Items: list[_Item]
    Count: int
    LastEvaluatedKey: _Item | None


class _Message(TypedDict):
    MessageId: str
    ReceiptHandle: str
    Body: str
    Attributes: NotRequired[dict[str, str]]
    MessageAttributes: NotRequired[dict[str, dict[str, Any]]]


class _Messages(TypedDict, total=False):
    Messages: list[_Message] | None


# Each with what its answers have where a member is binary, which botocore decodes, and with what rtp reads of them.
_OPERATIONS: dict[str, tuple[re.Pattern[bytes] | None, msgspec.json.Decoder[Any]]] = {
    "cloudwatch-logs.FilterLogEvents": (None, msgspec.json.Decoder(_Events)),
    "dynamodb.BatchGetItem": (_BINARY, msgspec.json.Decoder(_Batch)),
    "dynamodb.Query": (_BINARY, msgspec.json.Decoder(_Page)),
    "sqs.ReceiveMessage": (re.compile(rb'"Binary(List)?Values?"\s*:'), msgspec.json.Decoder(_Messages)),
}


CHECKED = frozenset(("logs filter_log_events", "dynamodb batch_get_item", "dynamodb query", "sqs receive_message"))
"""The same operations, as they are called."""


def attach(session: Any) -> None:
    """Read the answers of these operations here, for the session's clients.

    botocore calls the handlers of this event before it parses. If that changes, it parses as usual.
    """
    if fastpath.enabled("json-answers"):
        for operation, (binary, decoder) in _OPERATIONS.items():
            session.register(f"before-parse.{operation}", _reader(binary, decoder))


def _reader(binary: re.Pattern[bytes] | None, decoder: msgspec.json.Decoder[Any]) -> Callable[..., None]:
    def read(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
        body = response_dict.get("body")
        if response_dict.get("status_code") != 200 or not isinstance(body, bytes) or not body.startswith(b"{"):
            return
        if binary is not None and binary.search(body):
            return
        try:
            values = decoder.decode(body)
        except msgspec.ValidationError as error:  # botocore would take values of any type
            raise wrongly_typed(error) from None
        except (msgspec.DecodeError, RecursionError):  # such as half of a surrogate pair, which Python's reader takes
            return
        customized_response_dict.update(values)
        response_dict["body"] = b"{}"

    return read
