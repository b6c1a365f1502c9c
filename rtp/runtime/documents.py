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
    for document in _documents(root, copy):
        send_document(document, emitter)


def _documents(root: Any, copy: Copy | None) -> list[dict[str, Any]]:
    """Return the event's subsegment of the invocation, or its segment, and the copy in the message's trace."""
    document = root.to_dict()
    if "subsegments" in document:
        document["subsegments"] = [_embedded(child, root.end_time) for child in document["subsegments"]]
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
    return [document, other | {"links": [_link(root.trace_id, root.id, "child")]}]


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


def send_document(document: dict[str, Any], emitter: Any) -> None:
    """Send a document to the daemon; the subsegments of a large one by themselves."""
    text = json.dumps(document, default=str)
    if len(text) > _MAX_DOCUMENT and (children := document.pop("subsegments", None)):
        above = {"type": "subsegment", "trace_id": document["trace_id"], "parent_id": document["id"]}
        for part in (document, *({**child, **above} for child in children)):
            send_document(part, emitter)
        return
    emitter.send_entity(_Serialized(text))
