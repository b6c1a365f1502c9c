"""Builds a tree from the segment documents of a trace. Pure; nothing in the documents is trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rtp.text import times

DEEPEST = 60  # levels of subsegments that are read; a real trace has five
MOST = 20_000  # segments that are read per trace
_LINKS = 100  # that are read per segment


@dataclass(frozen=True, slots=True)
class Problem:
    """An exception that a segment recorded.

    type: the exception's class. stack: `file:line in function`, outermost first.
    remote: whether a called service raised it.
    """

    type: str
    message: str
    stack: tuple[str, ...] = ()
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A timed operation and its calls.

    id: id of the segment. origin: AWS type of the service; may be empty. start: ISO 8601.
    end: ISO 8601; null while it is in progress. offset_ms: from the trace's start.
    duration_ms: null while it is in progress. error: client error (4xx). fault: service error (5xx).
    throttle: the request was throttled. namespace: `aws` or `remote` for a call; else empty.
    request_id: id of the function's request; null for other segments.
    annotations, http, aws, metadata: as in X-Ray. links: ids of the traces that X-Ray links it with.
    exceptions: exceptions it raised. segments: its calls.
    """

    id: str
    name: str
    origin: str
    start: str
    end: str | None
    offset_ms: float
    duration_ms: float | None
    error: bool = False
    fault: bool = False
    throttle: bool = False
    namespace: str = ""
    request_id: str | None = None
    annotations: dict[str, Any] = field(default_factory=dict)
    http: dict[str, Any] = field(default_factory=dict)
    aws: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    exceptions: tuple[Problem, ...] = ()
    segments: tuple[Segment, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace.

    id: id of the trace. start: ISO 8601. duration_ms: from its start to the end of its last segment.
    error: whether there was a client error (4xx). fault: whether there was a service error (5xx).
    throttle: whether a request was throttled. partial: whether a segment is in progress.
    event_id: id of the first event; null without one. event_ids: ids of all events in the trace.
    segments: segments of the services, each with its calls.
    links: ids of the traces that it is linked with, such as those of the invocations for its messages.
    linked: those of them that have the part of this trace's events which it does not have itself.
    """

    id: str
    start: str
    duration_ms: float
    error: bool
    fault: bool
    throttle: bool
    partial: bool
    event_id: str | None
    event_ids: tuple[str, ...]
    segments: tuple[Segment, ...]
    links: tuple[str, ...] = ()
    linked: tuple[Trace, ...] = ()

    @property
    def start_ms(self) -> int:
        """`start` in epoch ms."""
        return times.parse_when(self.start)

    def walk(self) -> list[tuple[int, Segment]]:
        """Every segment with its depth, in depth-first order."""
        walked: list[tuple[int, Segment]] = []
        waiting = [(0, s) for s in reversed(self.segments)]
        while waiting:
            depth, segment = waiting.pop()
            walked.append((depth, segment))
            waiting.extend((depth + 1, child) for child in reversed(segment.segments))
        return walked


def trace(trace_id: str, documents: list[str]) -> Trace:
    """Build a trace from its documents. Unreadable ones are skipped; segments without a parent here are roots."""
    nodes: dict[str, _Node] = {}
    for text in documents:
        document = _loaded(text)
        if document is not None:
            _collect(document, None, nodes, 0)
    roots = _link(nodes)
    zero = min((n.start for n in nodes.values()), default=0.0)
    last = max((n.end if n.end is not None else n.start for n in nodes.values()), default=zero)
    segments = tuple(_segment(n, zero) for n in roots)
    every = list(nodes.values())
    events = tuple(dict.fromkeys(str(n.annotations["event_id"]) for n in every if "event_id" in n.annotations))
    return Trace(
        id=trace_id,
        start=times.iso(zero * 1000),
        duration_ms=round((last - zero) * 1000, 3),
        error=any(_flag(n.document, "error") for n in every),
        fault=any(_flag(n.document, "fault") for n in every),
        throttle=any(_flag(n.document, "throttle") for n in every),
        partial=any(n.end is None for n in every),
        event_id=events[0] if events else None,
        event_ids=events,
        segments=segments,
        links=tuple(dict.fromkeys(i for n in every for i in _links(n.document) if i != trace_id)),
    )


class _Node:
    """A segment while the tree is built."""

    def __init__(self, segment_id: str, document: dict[str, Any], parent: str | None) -> None:
        self.id = segment_id
        self.document = document
        self.parent = parent
        self.start = _seconds(document.get("start_time")) or 0.0
        self.end = None if document.get("in_progress") else _seconds(document.get("end_time"))
        self.annotations = _dict(document.get("annotations"))
        self.children: list[_Node] = []


def _loaded(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _collect(document: dict[str, Any], parent: str | None, nodes: dict[str, _Node], depth: int) -> None:
    segment_id = str(document.get("id") or f"?{len(nodes)}")
    if depth > DEEPEST or len(nodes) >= MOST or not _seconds(document.get("start_time")):
        return
    earlier = nodes.get(segment_id)
    if earlier is None or earlier.end is None:  # the final document replaces the one of a running segment
        nodes[segment_id] = _Node(segment_id, document, parent or _text(document.get("parent_id")) or None)
    for child in _list(document.get("subsegments")):
        if isinstance(child, dict):
            _collect(child, segment_id, nodes, depth + 1)


def _link(nodes: dict[str, _Node]) -> list[_Node]:
    """Attach every node to its parent and return the roots. A node that is its own ancestor is a root."""
    roots = []
    for segment_id, node in nodes.items():
        parent = node.parent
        visited = {segment_id}
        while parent is not None and parent in nodes and parent not in visited and len(visited) <= DEEPEST * 2:
            visited.add(parent)
            parent = nodes[parent].parent
        circular = parent is not None and parent in nodes
        if node.parent is None or node.parent not in nodes or circular:
            node.parent = None
            roots.append(node)
        else:
            nodes[node.parent].children.append(node)
    for node in nodes.values():
        node.children.sort(key=lambda n: n.start)
    return sorted(roots, key=lambda n: n.start)


def _segment(node: _Node, zero: float) -> Segment:
    document = node.document
    aws = _dict(document.get("aws"))
    return Segment(
        id=node.id,
        name=_text(document.get("name")),
        origin=_text(document.get("origin")),
        start=times.iso(node.start * 1000),
        end=None if node.end is None else times.iso(node.end * 1000),
        offset_ms=round((node.start - zero) * 1000, 3),
        duration_ms=None if node.end is None else round(max(0.0, node.end - node.start) * 1000, 3),
        error=_flag(document, "error"),
        fault=_flag(document, "fault"),
        throttle=_flag(document, "throttle"),
        namespace=_text(document.get("namespace")),
        request_id=_text(aws.get("request_id")) or None,
        annotations=node.annotations,
        http=_dict(document.get("http")),
        aws=aws,
        metadata=_dict(document.get("metadata")),
        links=tuple(_links(document)),
        exceptions=_problems(document.get("cause")),
        segments=tuple(_segment(child, zero) for child in node.children),
    )


def _problems(cause: Any) -> tuple[Problem, ...]:
    exceptions = cause.get("exceptions") if isinstance(cause, dict) else None
    return tuple(
        Problem(
            type=_text(e.get("type")) or "Exception",
            message=_text(e.get("message")),
            stack=tuple(_frame(f) for f in _list(e.get("stack")) if isinstance(f, dict)),
            remote=bool(e.get("remote")),
        )
        for e in _list(exceptions)
        if isinstance(e, dict)
    )


def _links(document: dict[str, Any]) -> list[str]:
    """Ids of the traces in a document's links; X-Ray has no more than 20 of a segment and 100 of a trace."""
    links = [_text(link.get("trace_id")) for link in _list(document.get("links"))[:_LINKS] if isinstance(link, dict)]
    return [link for link in links if link]


def _frame(frame: dict[str, Any]) -> str:
    where = f"{_text(frame.get('path')) or '?'}:{_text(frame.get('line')) or '?'}"
    return f"{where} in {_text(frame.get('label'))}" if frame.get("label") else where


def _flag(document: dict[str, Any], name: str) -> bool:
    return document.get(name) is True


def _seconds(value: Any) -> float | None:
    fine = isinstance(value, int | float | Decimal) and not isinstance(value, bool) and 0 < value < 100_000_000_000
    return float(value) if fine else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else str(value)
