"""X-Ray. No other module imports its SDK.

An event from the queue continues the trace that its message carries (AWSTraceHeader): its segment is a separate
document of that trace. Any other event is a subsegment of the function's invocation. The SDK is imported for the
first sampled event, because most cold starts have none.
"""

from __future__ import annotations

import os
import traceback
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from rtp.runtime import masking

if TYPE_CHECKING:
    from collections.abc import Iterator

INVOCATION = "_X_AMZN_TRACE_ID"
_MAX_FRAMES = 10
_MAX_TEXT = 250
_open: ContextVar[tuple[Any, ...]] = ContextVar("rtp_open_spans", default=())


def prepare() -> None:
    """Import the SDK during init, if no request waits for init (SnapStart, provisioned concurrency)."""
    if _enabled():
        _patch()


def begin(header: str | None, *, name: str, event_id: str = "", event_type: str = "") -> Trace:
    """Begin an event's part of a trace: the trace in `header` if there is one, else the invocation's."""
    message = parse(header or "")
    of_message = "Root" in message
    parts = message if of_message else parse(os.environ.get(INVOCATION, ""))
    if (
        not _enabled()
        or parts.get("Sampled") == "0"
        or not parts.get("Root")
        or not (of_message or parts.get("Parent"))
    ):
        return Trace(parts.get("Root", ""), header or os.environ.get(INVOCATION, ""))
    _patch()
    from aws_xray_sdk.core.models.facade_segment import FacadeSegment
    from aws_xray_sdk.core.models.segment import Segment
    from aws_xray_sdk.core.models.subsegment import Subsegment

    root: Any
    if of_message:
        root = Segment(name, traceid=parts["Root"], parent_id=parts.get("Parent"))
        root.origin = "AWS::Lambda::Function"
    else:
        facade = FacadeSegment("facade", parts["Parent"], parts["Root"], sampled=True)
        root = Subsegment("event", "local", facade)
        facade.add_subsegment(root)
    # Lambda counts the hops of a loop in the lineage and stops it after sixteen, so the lineage has to be passed on.
    lineage = parts.get("Lineage") or parse(os.environ.get(INVOCATION, "")).get("Lineage")
    onward = f"Root={parts['Root']};Parent={root.id};Sampled=1" + (f";Lineage={lineage}" if lineage else "")
    trace = Trace(parts["Root"], onward, root)
    trace.annotate(event_id=event_id, event_type=event_type)
    return trace


def parse(header: str) -> dict[str, str]:
    """Parse a trace header into its parts: Root, Parent, Sampled, …."""
    return dict(part.strip().split("=", 1) for part in header.split(";") if "=" in part)


class Trace:
    """One event's part of a trace. Without a daemon, or if it is not sampled, it has only an id."""

    __slots__ = ("_root", "header", "id")

    def __init__(self, id: str, header: str, root: Any = None) -> None:
        self.id = id
        self.header = header
        self._root = root

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
        if masking.active():
            _mask(root)
        _streaming().stream(root, _emitter().send_entity)
        _emitter().send_entity(root)

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


@cache
def _streaming() -> Any:
    """Return what sends the subsegments of a large trace one by one: a UDP packet has at most 64 KB."""
    from aws_xray_sdk.core.streaming.default_streaming import DefaultStreaming

    return DefaultStreaming()


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
