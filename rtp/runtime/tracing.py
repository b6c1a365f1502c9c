"""Traces: which part of which trace an event has, and the interface to what records it.

An event's part of a trace is a part of the function's invocation. That of a message is also written as a part of the
trace that the message carries (AWSTraceHeader): AWS documents only the former, and accepts the latter. Each has a link
to the other. rtp/runtime/xray.py records both with the X-Ray SDK, whose support ends on 2027-02-25; another module with
the functions of `Backend` can take its place, such as one that sends OpenTelemetry's spans by OTLP.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

INVOCATION = "_X_AMZN_TRACE_ID"


class Part(NamedTuple):
    """An event's part of a trace that is recorded.

    name: of the function. message, invocation: parsed headers of the message's trace, empty without one, and of the
    invocation's. in_invocation, in_message: in which of the two traces it is recorded; in one of them at least.
    """

    name: str
    message: Mapping[str, str]
    invocation: Mapping[str, str]
    in_invocation: bool
    in_message: bool


class Recorder(Protocol):
    """Records one event's part of a trace."""

    @property
    def id(self) -> str:
        """Of its span, the parent of what the event causes; empty where that trace is not recorded."""

    def annotate(self, name: str, value: str) -> None:
        """Add what traces can be searched by."""

    def span(self, name: str) -> AbstractContextManager[None]:
        """Record a block of code; an exception is recorded and raised again. AWS calls of the block are within it."""

    def call(
        self,
        service: str,
        operation: str,
        started: float,
        ended: float,
        error: BaseException | None,
        aws: dict[str, object],
    ) -> None:
        """Record an AWS call that has ended. Times in epoch seconds. aws: what is known of it, such as a table."""

    def end(self, error: BaseException | None, *, rejected: bool) -> None:
        """Close and send, without an exception. rejected: the error is the client's."""


class Backend(Protocol):
    """What records traces: a module or object with these functions."""

    def enabled(self) -> bool:
        """Whether traces can be sent from here."""

    def prepare(self) -> None:
        """Import what is large, where no request waits."""

    def begin(self, part: Part) -> Recorder:
        """Begin to record a part."""


def backend() -> Backend:
    """What records traces in this process."""
    from rtp.runtime import xray

    return xray


def prepare() -> None:
    """Import the backend's packages during init, if no request waits for init (SnapStart, provisioned concurrency)."""
    if backend().enabled():
        backend().prepare()


def begin(
    header: str | None, *, name: str, event_id: str = "", event_type: str = "", by: Backend | None = None
) -> Trace:
    """Begin an event's part of a trace: that of the message with this `header`, if it names one, and the invocation's.

    A message's trace without a decision (`Sampled`) is recorded if the invocation is. by: what records it.
    """
    by = by or backend()
    invocation = parse(os.environ.get(INVOCATION, ""))
    message = parse(header or "")
    if "Root" not in message:
        message = {}
    decision = invocation.get("Sampled")
    is_enabled = by.enabled()
    is_recorded = is_enabled and decision == "1" and "Root" in invocation and "Parent" in invocation
    is_continued = is_enabled and bool(message) and (_decision(message) or decision) == "1"
    parts = message or invocation
    invocation_id = invocation.get("Root", "") if message else ""
    if not is_recorded and not is_continued:
        return Trace(parts.get("Root", ""), _onward(parts, invocation), invocation_id)
    recorder = by.begin(Part(name, message, invocation, is_recorded, is_continued))
    trace = Trace(parts["Root"], _onward(parts, invocation, recorder.id), invocation_id, recorder)
    trace.annotate(event_id=event_id, event_type=event_type)
    return trace


@lru_cache(maxsize=32)
def parse(header: str) -> Mapping[str, str]:
    """Parse a trace header into its parts: Root, Parent, Sampled, …."""
    return dict(part.strip().split("=", 1) for part in header.split(";") if "=" in part)


def _decision(parts: Mapping[str, str]) -> str:
    """Return whether the trace is recorded, "0" or "1"; empty where the sender left it to others."""
    sampled = parts.get("Sampled", "")
    return sampled if sampled in ("0", "1") else ""


def _onward(parts: Mapping[str, str], invocation: Mapping[str, str], parent: str = "") -> str:
    """Return the header of messages that the event causes. parent: id of the event's segment, if it has one.

    Lambda counts the hops of a loop in the lineage of its invocations, and stops the loop after sixteen. A message's
    own lineage is that of its sender.
    """
    fields = {
        "Root": parts.get("Root"),
        "Parent": parent or parts.get("Parent"),
        "Sampled": "1" if parent else _decision(parts),
        "Lineage": invocation.get("Lineage"),
    }
    return ";".join(f"{name}={value}" for name, value in fields.items() if value) if fields["Root"] else ""


class Trace:
    """One event's part of a trace. Without a daemon, or if it is not sampled, it has only ids.

    id: of the message's trace, or of the invocation's without one. invocation_id: of the invocation's trace, where that
    is another. header: for messages that the event causes.
    """

    __slots__ = ("_recorder", "header", "id", "invocation_id")

    def __init__(self, id: str, header: str, invocation_id: str = "", recorder: Recorder | None = None) -> None:
        self.id = id
        self.header = header
        self.invocation_id = invocation_id if invocation_id != id else ""
        self._recorder = recorder

    def annotate(self, **annotations: str) -> None:
        """Add annotations, by which traces can be searched."""
        if self._recorder is not None:
            for name, value in annotations.items():
                if value:
                    self._recorder.annotate(name, value)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Add a span around a block of code; an exception is recorded and raised again."""
        if self._recorder is None:
            yield
            return
        with self._recorder.span(name):
            yield

    def call(
        self,
        service: str,
        operation: str,
        started: float,
        ended: float,
        error: BaseException | None = None,
        **aws: object,
    ) -> None:
        """Add a span for an AWS call that has ended; a call for many events is in the trace of each."""
        if self._recorder is not None:
            self._recorder.call(service, operation, started, ended, error, aws)

    def end(self, error: BaseException | None = None, *, rejected: bool = False) -> None:
        """Close and send. A rejection is an error of the client, any other failure a fault."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.end(error, rejected=rejected)
