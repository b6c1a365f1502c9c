"""One trace, assembled: subsegments that were sent separately are put into their parents."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Node:
    """A service in a trace: one segment, or a call to a service that writes no segment."""

    name: str
    type: str
    parent: str | None  # name of the calling service
    start: float
    end: float | None
    error: bool
    fault: bool
    throttle: bool
    http: Document = field(default_factory=dict)
    annotations: dict[str, Any] = field(default_factory=dict)
    user: str | None = None
    account: str | None = None

    @property
    def response_time(self) -> float:
        """Seconds from start to end; 0 while in progress."""
        return max((self.end or self.start) - self.start, 0.0)


class Trace:
    """All documents of one trace."""

    def __init__(self, trace_id: str, documents: list[Document]) -> None:
        self.id = trace_id
        self.segments = _assembled(documents)

    @cached_property
    def start(self) -> float:
        """When its first segment began."""
        return float(min(s["start_time"] for s in self.segments))

    @cached_property
    def duration(self) -> float:
        """Seconds from the first start to the last end."""
        ends = [s.get("end_time") or s["start_time"] for s in self.segments]
        return float(max(ends) - self.start)

    @cached_property
    def partial(self) -> bool:
        """Whether a segment is still in progress."""
        return any(s.get("in_progress") or "end_time" not in s for s in self.segments)

    @cached_property
    def entry(self) -> Node:
        """The first service of the trace."""
        ids = {entity["id"] for entity, _ in self._entities}
        roots = [s for s in self.segments if s.get("parent_id") not in ids]
        first = min(roots or self.segments, key=lambda s: float(s["start_time"]))
        return self.nodes[next(i for i, s in enumerate(self.segments) if s is first)]

    @cached_property
    def nodes(self) -> list[Node]:
        """Every service: those of the segments first, then those that are only called."""
        owners: dict[str, str] = {}
        annotations: dict[str, dict[str, Any]] = {}
        calls: list[tuple[Document, str]] = []
        for entity, segment in self._entities:
            owners[entity["id"]] = segment["name"]
            if entity.get("annotations"):
                annotations.setdefault(segment["id"], {}).update(entity["annotations"])
            if entity is not segment and entity.get("namespace"):
                calls.append((entity, segment["name"]))
        callers = {s.get("parent_id") for s in self.segments}
        return [
            *(_node(s, owners.get(s.get("parent_id", "")), annotations.get(s["id"])) for s in self.segments),
            *(_node(call, caller) for call, caller in calls if call["id"] not in callers),
        ]

    @cached_property
    def _entities(self) -> list[tuple[Document, Document]]:
        """Every segment and subsegment, with the segment that it is in."""
        return [(entity, segment) for segment in self.segments for entity in walk(segment)]

    @cached_property
    def annotations(self) -> dict[str, list[tuple[Any, Node]]]:
        """The values of every annotation, with the services that have it."""
        values: dict[str, list[tuple[Any, Node]]] = {}
        for node in self.nodes:
            for key, value in node.annotations.items():
                values.setdefault(key, []).append((value, node))
        return values


def _node(entity: Document, parent: str | None, annotations: dict[str, Any] | None = None) -> Node:
    http = entity.get("http") or {}
    return Node(
        name=entity["name"],
        type=entity.get("origin") or (f"AWS::{entity['name']}" if entity.get("namespace") == "aws" else "client"),
        parent=parent,
        start=float(entity["start_time"]),
        end=entity.get("end_time"),
        error=bool(entity.get("error")),
        fault=bool(entity.get("fault")),
        throttle=bool(entity.get("throttle")),
        http={**(http.get("request") or {}), **(http.get("response") or {})} if http else {},
        annotations=annotations or {},
        user=entity.get("user"),
        account=(entity.get("aws") or {}).get("account_id"),
    )


def walk(entity: Document) -> list[Document]:
    """A segment or subsegment and everything below it, parents before children."""
    entities = [entity]
    for parent in entities:
        entities += parent.get("subsegments") or ()
    return entities


def _assembled(documents: list[Document]) -> list[Document]:
    """Segments in order of their start, with the separately sent subsegments in their parents."""
    places = {entity["id"]: (entity, document) for document in documents for entity in walk(document)}
    separate = [d for d in documents if d.get("type") == "subsegment" and _has_parent(d, places)]
    for document in separate:
        parent, _ = places[document["parent_id"]]
        parent.setdefault("subsegments", []).append(document)
    inside = {id(document) for document in separate}
    for document in separate:
        for key in ("trace_id", "parent_id", "type"):
            del document[key]
    return sorted((d for d in documents if id(d) not in inside), key=lambda d: float(d["start_time"]))


def _has_parent(document: Document, places: dict[str, tuple[Document, Document]]) -> bool:
    """Whether its parent exists and is not one of its own descendants."""
    above: Document | None = document
    for _ in places:
        _, above = places.get((above or {}).get("parent_id", ""), (None, None))
        if above is document:
            return False
        if above is None:
            break
    return document.get("parent_id", "") in places
