"""Segments in memory, by trace; the oldest traces are dropped when there are too many."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rtp.local.tracing import header
from rtp.local.tracing.tree import Trace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MAX_DOCUMENT_BYTES = 64 * 1024  # X-Ray's own limit
MAX_TRACES = 20_000
MAX_BYTES = 64 * 1024 * 1024
MAX_BUILT = 200
_LATEST_S = 10**11


class InvalidSegmentError(ValueError):
    """A document that X-Ray does not accept. code: what X-Ray calls it."""

    def __init__(self, message: str, code: str = "ParseError") -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class _Entry:
    """One trace. Epoch s: start of its first segment, end of its last one, and when a document came last."""

    start: float
    end: float
    updated: float
    documents: dict[str, str] = field(default_factory=dict)  # segment id -> JSON

    def time(self, kind: str) -> float:
        """A time by the name that GetTraceSummaries has for it."""
        return self.start if kind == "TraceId" else self.updated if kind == "Event" else self.end


KINDS = ("TraceId", "Event", "Service")


class TraceStore:
    """Segments from PutTraceSegments and the daemon, for the queries. Thread-safe.

    lock: held while something changes.
    """

    def __init__(self, *, max_traces: int = MAX_TRACES, max_bytes: int = MAX_BYTES) -> None:
        self._entries: dict[str, _Entry] = {}
        self._by_time: dict[str, list[tuple[float, str]]] = {kind: [] for kind in KINDS}  # each in order
        self._built: dict[str, Trace] = {}  # those that were requested last
        self._bytes = 0
        self._max_traces = max_traces
        self._max_bytes = max_bytes
        self.lock = threading.Lock()
        self._loaded = threading.Event()
        self._loaded.set()

    def put(self, document: str, *, received: float | None = None) -> None:
        """Store one segment or separate subsegment in JSON. Raises InvalidSegmentError.

        received: epoch s; by default now, and 0 where that is not known.
        """
        if len(document) > MAX_DOCUMENT_BYTES:
            raise InvalidSegmentError("The segment document is larger than 64 kB.")
        try:
            body = json.loads(document)
        except (ValueError, RecursionError) as error:
            raise InvalidSegmentError("The segment document is not JSON.") from error
        self._insert(body, document, time.time() if received is None else received)

    def add(self, body: dict[str, Any]) -> None:
        """Store a segment that the engine itself wrote."""
        self._insert(body, json.dumps(body, separators=(",", ":")), time.time())

    def get(self, trace_id: str) -> Trace | None:
        """One trace, assembled."""
        self._loaded.wait()
        with self.lock:
            entry = self._entries.get(trace_id)
            if entry is None:
                return None
            trace = self._built.get(trace_id)
            if trace is None:
                trace = self._built[trace_id] = Trace(trace_id, _parsed(entry.documents.values()))
                if len(self._built) > MAX_BUILT:
                    del self._built[next(iter(self._built))]
            return trace

    def between(self, start: float, end: float, kind: str = "TraceId") -> list[tuple[float, str]]:
        """Times and ids of the traces that match a time between two times (epoch s), newest first.

        kind: which time, as GetTraceSummaries names it: `TraceId` the start, `Event` the latest change, `Service` the
        end of the last segment.
        """
        self._loaded.wait()
        with self.lock:
            times = self._by_time[kind]
            first, last = bisect_left(times, (start, "")), bisect_right(times, (end, chr(0x10FFFF)))
            return times[first:last][::-1]

    def clear(self) -> None:
        """Delete everything."""
        with self.lock:
            self._entries.clear()
            for times in self._by_time.values():
                times.clear()
            self._built.clear()
            self._bytes = 0

    def save(self, path: Path) -> None:
        """Write all documents, for `load`."""
        self._loaded.wait()
        draft = path.with_name(f"{path.name}.new")  # the file may have a second link, in the previous save
        with self.lock, gzip.open(draft, "wt", compresslevel=1) as file:
            for entry in self._entries.values():
                file.writelines(f"{document}\n" for document in entry.documents.values())
        draft.replace(path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote, if the file exists."""
        if not path.exists():
            return
        with gzip.open(path, "rt") as file:
            for line in file:
                with contextlib.suppress(InvalidSegmentError):
                    self.put(line.rstrip("\n"), received=0)

    @property
    def is_loaded(self) -> bool:
        """Whether nothing is being loaded in the background."""
        return self._loaded.is_set()

    def load_later(self, path: Path) -> None:
        """As `load`, in the background; queries wait for it."""
        self._loaded.clear()

        def load() -> None:
            try:
                self.load(path)
            finally:
                self._loaded.set()

        threading.Thread(target=load, daemon=True, name="rtp-load-traces").start()

    def _insert(self, body: Any, document: str, received: float) -> None:
        trace_id, segment_id, start = _identity(body)
        ended = _seconds(body.get("end_time"))
        end = start if ended is None else ended
        with self.lock:
            entry = self._entries.get(trace_id)
            if entry is None:
                entry = self._entries[trace_id] = _Entry(start, end, received or end)
                before: dict[str, float] = {}
            else:
                before = {kind: entry.time(kind) for kind in KINDS}
            entry.start, entry.end = min(entry.start, start), max(entry.end, end)
            entry.updated = max(entry.updated, received or end)
            self._index(trace_id, entry, before)
            self._built.pop(trace_id, None)
            self._bytes += len(document) - len(entry.documents.get(segment_id, ""))
            entry.documents[segment_id] = document
            while len(self._entries) > self._max_traces or (self._bytes > self._max_bytes and len(self._entries) > 1):
                self._drop(next(iter(self._entries)))

    def _index(self, trace_id: str, entry: _Entry, before: dict[str, float]) -> None:
        """Keep the order by each time. before: the times that it had; empty for a new trace."""
        for kind, times in self._by_time.items():
            old, new = before.get(kind), entry.time(kind)
            if old != new:
                if old is not None:
                    del times[bisect_left(times, (old, trace_id))]
                insort(times, (new, trace_id))

    def _drop(self, trace_id: str) -> None:
        self._built.pop(trace_id, None)
        entry = self._entries.pop(trace_id)
        for kind, times in self._by_time.items():
            del times[bisect_left(times, (entry.time(kind), trace_id))]
        self._bytes -= sum(map(len, entry.documents.values()))


def _parsed(documents: Iterable[str]) -> list[dict[str, Any]]:
    return [json.loads(document) for document in documents]


def _identity(body: Any) -> tuple[str, str, float]:
    if not isinstance(body, dict):
        raise InvalidSegmentError("The segment document is not an object.")
    segment_id, start = body.get("id"), _seconds(body.get("start_time"))
    if not isinstance(segment_id, str):
        raise InvalidSegmentError("The id is missing.", "MissingId")
    trace = header.parse(f"Root={body.get('trace_id', '')}")
    if trace is None:
        raise InvalidSegmentError("The trace_id is missing or malformed.")
    if not isinstance(body.get("name"), str):
        raise InvalidSegmentError("The name is missing.")
    if start is None:
        raise InvalidSegmentError("The start_time is missing.")
    return trace.root, segment_id, start


def _seconds(value: Any) -> float | None:
    """A time, epoch s; None for what is none: an integer may have thousands of digits, and a float may be no number."""
    is_time = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LATEST_S
    return float(value) if is_time else None
