"""The X-Ray documents of an event's part of a trace, and how they are sent to the daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

FUNCTION = "AWS::Lambda::Function"
_MAX_DOCUMENT = 60_000  # bytes; a UDP packet has at most 64 KB
_OF_SEPARATE = ("trace_id", "parent_id", "type")  # fields that a subsegment has only when it is sent by itself


class Copy(NamedTuple):
    """The trace of a message, for a second document. id: of the event's segment in that trace; empty for no segment."""

    name: str
    message: Mapping[str, str]
    id: str


def send(root: Any, copy: Copy | None, emitter: Any) -> None:
    """Send what the SDK's entity `root` recorded, and its copy in the message's trace, by the SDK's emitter."""
    document = root.to_dict()
    calls = [json.dumps(_embedded(one, root.end_time), default=str) for one in document.pop("subsegments", ())]
    for each in _documents(document, copy):
        _send(each, calls, emitter)


def send_document(document: dict[str, Any], emitter: Any) -> None:
    """Send a document with its subsegments."""
    calls = [json.dumps(one, default=str) for one in document.pop("subsegments", ())]
    _send(document, calls, emitter)


def _send(document: dict[str, Any], calls: list[str], emitter: Any) -> None:
    """Send a document with subsegments, which are JSON already; by themselves where together they are too large."""
    head = json.dumps(document, default=str)
    text = f'{head[:-1]}, "subsegments": [{", ".join(calls)}]}}' if calls else head
    if len(text) <= _MAX_DOCUMENT or not calls:
        emitter.send_entity(_Serialized(text))
        return
    emitter.send_entity(_Serialized(head))
    above = {"type": "subsegment", "trace_id": document["trace_id"], "parent_id": document["id"]}
    for call in calls:
        send_document({**json.loads(call), **above}, emitter)


def _documents(document: dict[str, Any], copy: Copy | None) -> list[dict[str, Any]]:
    """Return the event's subsegment of the invocation, or its segment, and the copy in the message's trace."""
    if copy is None:
        return [document]
    message = copy.message
    if parent := copy.id or message.get("Parent"):
        document["links"] = [_link(message["Root"], parent, "parent")]
    if not copy.id:
        return [document]
    above = {"parent_id": message["Parent"]} if "Parent" in message else {}
    other = {key: value for key, value in document.items() if key not in (*_OF_SEPARATE, "namespace")}
    other |= {"trace_id": message["Root"], "id": copy.id, "name": copy.name, "origin": FUNCTION, **above}
    return [document, other | {"links": [_link(document["trace_id"], document["id"], "child")]}]


def _embedded(child: dict[str, Any], end: float) -> dict[str, Any]:
    """Return a subsegment as part of its parent's document. One that still runs ends with its event, as a fault."""
    document = {key: value for key, value in child.items() if key not in _OF_SEPARATE}
    if document.pop("in_progress", False):
        document |= {"end_time": end, "fault": True}
    if "subsegments" in document:
        document["subsegments"] = [_embedded(one, end) for one in document["subsegments"]]
    return document


def _link(trace_id: str, id: str, kind: str) -> dict[str, Any]:
    return {"trace_id": trace_id, "id": id, "attributes": {"ReferenceType": kind}}


class _Serialized:
    """A document as the SDK's emitter takes it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def serialize(self) -> str:
        return self._text
