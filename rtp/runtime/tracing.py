"""X-Ray. No other module imports its SDK.

An event's part of a trace is a subsegment of the function's invocation. That of a message is also written as a segment
of the trace that the message carries (AWSTraceHeader): AWS documents only the former, and accepts the latter. Each has
a link to the other. The SDK is imported for the first sampled event, because most cold starts have none.
"""

from __future__ import annotations

import os
import traceback
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from rtp.runtime import masking

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.runtime.documents import Copy

INVOCATION = "_X_AMZN_TRACE_ID"
_MAX_FRAMES = 10
_MAX_TEXT = 250
_open: ContextVar[tuple[Any, ...]] = ContextVar("rtp_open_spans", default=())


def prepare() -> None:
    """Import the SDK during init, if no request waits for init (SnapStart, provisioned concurrency)."""
    if _enabled():
        _patch()


def begin(header: str | None, *, name: str, event_id: str = "", event_type: str = "") -> Trace:
    """Begin an event's part of a trace: that of the message with this `header`, if it names one, and the invocation's.

    A message's trace without a decision (`Sampled`) is recorded if the invocation is.
    """
    invocation = parse(os.environ.get(INVOCATION, ""))
    message = parse(header or "")
    if "Root" not in message:
        message = {}
    decision = invocation.get("Sampled")
    is_enabled = _enabled()
    is_recorded = is_enabled and decision == "1" and "Root" in invocation and "Parent" in invocation
    is_continued = is_enabled and bool(message) and (_decision(message) or decision) == "1"
    parts = message or invocation
    invocation_id = invocation.get("Root", "") if message else ""
    if not is_recorded and not is_continued:
        return Trace(parts.get("Root", ""), _onward(parts, invocation), invocation_id)
    _patch()
    from aws_xray_sdk.core.models.facade_segment import FacadeSegment
    from aws_xray_sdk.core.models.segment import Segment
    from aws_xray_sdk.core.models.subsegment import Subsegment
    from aws_xray_sdk.core.models.trace_header import TraceHeader

    from rtp.runtime import documents

    root: Any
    if is_recorded:
        top = FacadeSegment("facade", invocation["Parent"], invocation["Root"], sampled=True)
        root = Subsegment("event", "local", top)
        top.add_subsegment(root)
    else:
        root = top = Segment(name, traceid=message["Root"], parent_id=message.get("Parent"))
        root.origin = documents.FUNCTION
    if "Lineage" in invocation:  # of the calls that a processor makes
        top.save_origin_trace_header(TraceHeader(data={"Lineage": invocation["Lineage"]}))
    copy = None
    if is_recorded and message:
        copy = documents.Copy(name, message, os.urandom(8).hex() if is_continued else "")
    parent = root.id if copy is None else copy.id
    trace = Trace(parts["Root"], _onward(parts, invocation, parent), invocation_id, root, copy)
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

    __slots__ = ("_copy", "_root", "header", "id", "invocation_id")

    def __init__(
        self, id: str, header: str, invocation_id: str = "", root: Any = None, copy: Copy | None = None
    ) -> None:
        self.id = id
        self.header = header
        self.invocation_id = invocation_id if invocation_id != id else ""
        self._root = root
        self._copy = copy

    def annotate(self, **annotations: str) -> None:
        """Add annotations, by which traces can be searched."""
        if self._root is not None:
            for name, value in annotations.items():
                if value:
                    self._root.put_annotation(name, value[:_MAX_TEXT])

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Add a subsegment around a block of code; an exception is recorded and raised again."""
        if self._root is None:
            yield
            return
        span = self._add(name, "local")
        token = _open.set((*_open.get(), span))
        try:
            yield
        except BaseException as error:
            _record(span, error)
            raise
        finally:
            _open.reset(token)
            span.close()

    def call(
        self, service: str, operation: str, started: float, ended: float, error: BaseException | None = None, **aws: Any
    ) -> None:
        """Add a subsegment for an AWS call that has ended; a call for many events is in the trace of each."""
        if self._root is None:
            return
        span = self._add(service, "aws")
        span.start_time = started
        span.set_aws({"operation": operation, **aws})
        if error is not None:
            _record(span, error)
        span.close(ended)

    def end(self, error: BaseException | None = None, *, rejected: bool = False) -> None:
        """Close and send. In X-Ray's terms a rejection is an error (of the client), any other failure a fault."""
        if self._root is None:
            return
        root, self._root = self._root, None
        if error is not None:
            (root.add_error_flag if rejected else root.add_fault_flag)()
        root.close()
        from rtp.runtime import documents

        with suppress(Exception):  # a processor that hangs may change its span meanwhile; no event fails by its trace
            if masking.active():
                _mask(root)
            documents.send(root, self._copy, _emitter())

    def _add(self, name: str, namespace: str) -> Any:
        from aws_xray_sdk.core.models.subsegment import Subsegment

        span = Subsegment(name, namespace, getattr(self._root, "parent_segment", self._root))
        self._root.add_subsegment(span)
        return span


def _enabled() -> bool:
    return (
        bool(os.environ.get("AWS_XRAY_DAEMON_ADDRESS"))
        and os.environ.get("AWS_XRAY_SDK_ENABLED", "").lower() != "false"
    )


@cache
def _emitter() -> Any:
    from aws_xray_sdk.core.emitters.udp_emitter import UDPEmitter

    return UDPEmitter(os.environ["AWS_XRAY_DAEMON_ADDRESS"])


def _record(span: Any, error: BaseException) -> None:
    frames = traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
    try:
        span.add_exception(error, frames)
    except (AttributeError, TypeError):  # an exception without attributes; the SDK sets one to mark it
        span.add_fault_flag()


def _mask(entity: Any) -> None:
    """Hide secrets in the messages of exceptions, also those of AWS calls, which the SDK records itself."""
    if isinstance(entity.cause, dict):
        for exception in entity.cause.get("exceptions", ()):
            if isinstance(getattr(exception, "message", None), str):
                exception.message = masking.masked(exception.message)
    for subsegment in entity.subsegments:
        _mask(subsegment)


@cache
def _patch() -> None:
    """Trace the AWS calls of processors, each in its event's span. The runtime's calls, outside a span, are not."""
    from aws_xray_sdk.core import patch, xray_recorder
    from aws_xray_sdk.core.context import Context
    from aws_xray_sdk.core.models.dummy_entities import DummySegment

    nothing = DummySegment("none")

    class SpanContext(Context):  # type: ignore[misc]
        """The SDK's current entity, per thread and task."""

        def get_trace_entity(self) -> Any:
            spans = _open.get()
            return spans[-1] if spans else nothing

        def put_subsegment(self, subsegment: Any) -> None:
            if subsegment.sampled:  # a call of the runtime is outside any span, and must not get an invented trace id
                self.get_trace_entity().add_subsegment(subsegment)
                _open.set((*_open.get(), subsegment))

        def end_subsegment(self, end_time: float | None = None) -> bool:
            spans = _open.get()
            if not spans:
                return False
            spans[-1].close(end_time)
            _open.set(spans[:-1])
            return True

        def set_trace_entity(self, trace_entity: Any) -> None:
            _open.set((trace_entity,))

        def clear_trace_entities(self) -> None:
            _open.set(())

    xray_recorder.configure(context=SpanContext("IGNORE_ERROR"), streaming_threshold=1_000_000)
    patch(("botocore",))
