"""X-Ray by its SDK, which no other module imports: the backend of rtp/runtime/tracing.py.

The SDK is imported for the first sampled event, because most cold starts have none.
"""

from __future__ import annotations

import os
import traceback
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

from rtp.runtime import masking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.runtime.documents import Copy
    from rtp.runtime.tracing import Part

_MAX_FRAMES = 10
_MAX_TEXT = 250
_TASK = __file__.removesuffix("rtp/runtime/xray.py")  # the folder of rtp and of the project
_LAYER = "/opt/python/"
_open: ContextVar[tuple[Any, ...]] = ContextVar("rtp_open_spans", default=())


def enabled() -> bool:
    """Whether there is a daemon, and the SDK is not turned off."""
    return (
        bool(os.environ.get("AWS_XRAY_DAEMON_ADDRESS"))
        and os.environ.get("AWS_XRAY_SDK_ENABLED", "").lower() != "false"
    )


def prepare() -> None:
    """Import the SDK."""
    _patch()


def begin(part: Part) -> Segment:
    """Begin a subsegment of the invocation, or a segment of the message's trace alone."""
    _patch()
    from aws_xray_sdk.core.models.facade_segment import FacadeSegment
    from aws_xray_sdk.core.models.segment import Segment as SdkSegment
    from aws_xray_sdk.core.models.subsegment import Subsegment
    from aws_xray_sdk.core.models.trace_header import TraceHeader

    from rtp.runtime import documents

    invocation, message = part.invocation, part.message
    root: Any
    if part.in_invocation:
        top = FacadeSegment("facade", invocation["Parent"], invocation["Root"], sampled=True)
        root = Subsegment("event", "local", top)
        top.add_subsegment(root)
    else:
        root = top = SdkSegment(part.name, traceid=message["Root"], parent_id=message.get("Parent"))
        root.origin = documents.FUNCTION
    if "Lineage" in invocation:  # of the calls that a processor makes
        top.save_origin_trace_header(TraceHeader(data={"Lineage": invocation["Lineage"]}))
    copy = None
    if part.in_invocation and message:
        copy = documents.Copy(part.name, message, os.urandom(8).hex() if part.in_message else "")
    return Segment(root, copy)


class Segment:
    """An event's part of a trace, as the SDK's entity `root`; copy: of the message's trace."""

    __slots__ = ("_copy", "_root")

    def __init__(self, root: Any, copy: Copy | None = None) -> None:
        self._root = root
        self._copy = copy

    @property
    def id(self) -> str:
        """The parent of what the event causes; empty where its message's trace is not recorded."""
        segment_id: str = self._root.id if self._copy is None else self._copy.id
        return segment_id

    def annotate(self, name: str, value: str) -> None:
        """See Recorder."""
        self._root.put_annotation(name, value[:_MAX_TEXT])

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """See Recorder."""
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
        self,
        service: str,
        operation: str,
        started: float,
        ended: float,
        error: BaseException | None,
        aws: dict[str, object],
    ) -> None:
        """See Recorder."""
        span = self._add(service, "aws")
        span.start_time = started
        span.set_aws({"operation": operation, **aws})
        if error is not None:
            _record(span, error)
        span.close(ended)

    def end(self, error: BaseException | None, *, rejected: bool) -> None:
        """Close and send. In X-Ray's terms a rejection is an error (of the client), any other failure a fault."""
        root = self._root
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


@cache
def _emitter() -> Any:
    from aws_xray_sdk.core.emitters.udp_emitter import UDPEmitter

    return UDPEmitter(os.environ["AWS_XRAY_DAEMON_ADDRESS"])


def _record(span: Any, error: BaseException) -> None:
    traced = traceback.extract_tb(error.__traceback__, limit=-_MAX_FRAMES)
    frames = [frame for frame in traced if "aws_xray_sdk/" not in frame.filename]  # the SDK leaves its own out
    try:
        span.add_exception(error, frames)
        if isinstance(span.cause, dict):  # else the id of the same exception, as an inner span has it
            for frame, shown in zip(frames, span.cause["exceptions"][-1].stack or (), strict=False):
                shown["path"] = _path(frame.filename)
    except (AttributeError, TypeError):  # an exception without attributes; the SDK sets one to mark it
        span.add_fault_flag()


def _path(file: str) -> str:
    """A file as its project names it. The SDK keeps the last part alone, which may be that of several files."""
    return file.removeprefix(_TASK).removeprefix(_LAYER)


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
