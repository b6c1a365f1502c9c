"""Function invocations: their trace, their metrics, and the metrics in their logs."""

from __future__ import annotations

import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from typing import TYPE_CHECKING, Any

from rtp.local.metrics import Place, record_embedded
from rtp.local.patches import function_errors
from rtp.local.patches.patch import Patch, replace
from rtp.local.tracing import header, services

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry
    from rtp.local.tracing.header import TraceHeader

links: ContextVar[tuple[TraceHeader, ...]] = ContextVar("rtp_links", default=())
"""The traces of a batch's messages, while its function is invoked."""

_inside: ContextVar[TraceHeader | None] = ContextVar("rtp_inside", default=None)


@dataclass(slots=True)
class Asynchronous:
    """What all attempts of one asynchronous invocation have in common. trace: of the first one on."""

    function: str
    request_id: str
    trace: TraceHeader | None = None


_asynchronous: ContextVar[Asynchronous | None] = ContextVar("rtp_asynchronous", default=None)


def install(telemetry: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import lambda_svc

    patch = Invocations(telemetry)
    patch.dispatch_one = replace(
        lambda_svc, "_execute_function_dispatch", patch.dispatch, "func config event request_id started"
    )
    patch.invoke_one = replace(lambda_svc, "invoke_async_with_retry", patch.invoke_asynchronously, "func event")
    patch.acquire_one = replace(lambda_svc, "_acquire_execution_slot", patch.acquire, "func config")
    replace(lambda_svc, "_xray_trace_id_for_invocation", _trace_of_invocation, "config inbound_trace_header")
    replace(lambda_svc, "_emit_lambda_metrics", _no_metrics, "function_name duration_ms error throttle")


PATCH = Patch(
    name="invocations",
    aws=(
        "`_X_AMZN_TRACE_ID` is the caller's trace. The attempts of an asynchronous invocation have one request id and "
        "one trace. AWS/Lambda has metrics of every invocation, and metrics embedded in a log are extracted."
    ),
    engine=(
        "Every invocation has a trace of its own, and every attempt a trace and a request id. Only direct invocations "
        "are measured, not those by API Gateway and SQS. Embedded metrics stay in the log."
    ),
    test="tests/local/engine/test_patches.py::an_invocation_has_another_trace",
    install=install,
)


def inside() -> TraceHeader | None:
    """The trace header of the function that this thread is running."""
    return _inside.get()


class Invocations:
    """Wraps each invocation, whatever its source."""

    dispatch_one: Any
    invoke_one: Any
    acquire_one: Any

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def invoke_asynchronously(self, func: dict[str, Any], event: Any) -> None:
        """Begin an asynchronous invocation, whose thread gets a copy of this context."""
        made = Asynchronous(_arn(func.get("config") or func), str(uuid.uuid4()))
        token = _asynchronous.set(made)
        try:
            self.invoke_one(func, event)
        finally:
            _asynchronous.reset(token)

    def dispatch(self, func: Any, config: dict[str, Any], event: Any, request_id: str, started: float) -> Any:
        """Run the function within its segments, then record its metrics."""
        trace = self._trace(config)
        attempts = _asynchronous.get()
        if attempts is not None and attempts.function == _arn(config):
            request_id = attempts.request_id
            attempts.trace = trace = attempts.trace or trace
        ids = services.new_ids()
        token = _inside.set(trace.child(ids[1]) if trace else None)
        function_errors.forget()
        try:
            result = self.dispatch_one(func, config, event, request_id, started)
        finally:
            _inside.reset(token)
        ended = time.time()
        arn = _arn(config)
        fault = bool(result.get("error"))
        if fault and isinstance(result.get("body"), dict):
            result = {**result, "body": function_errors.payload(result["body"], request_id)}
        if trace and trace.recorded and arn.count(":") >= 6:
            for segment in services.invocation(
                trace, ids, arn, request_id, (started, ended), fault=fault, links=links.get()
            ):
                self._telemetry.traces.add(segment)
        self._count(config, result, fault=fault, duration_ms=(ended - started) * 1000)
        return result

    def acquire(self, func: Any, config: dict[str, Any]) -> Any:
        """Count throttled invocations."""
        slot, limit = self.acquire_one(func, config)
        if slot is None:
            self._record(config, "Throttles", 1, "Count")
        return slot, limit

    @staticmethod
    def _trace(config: dict[str, Any]) -> TraceHeader | None:
        """The caller's trace, or a new one if the function is traced; None without either."""
        given = header.current.get()
        if (config.get("TracingConfig") or {}).get("Mode") == "Active":
            return given or header.new()
        # PassThrough: only what the caller has decided to record.
        return given and replace_fields(given, sampled=given.sampled is True)

    def _count(self, config: dict[str, Any], result: dict[str, Any], *, fault: bool, duration_ms: float) -> None:
        self._record(config, "Invocations", 1, "Count")
        self._record(config, "Errors", int(fault), "Count")
        self._record(config, "Throttles", 0, "Count")
        self._record(config, "Duration", duration_ms, "Milliseconds")
        place = _place(config)
        for line in str(result.get("log") or "").splitlines():
            record_embedded(self._telemetry.metrics, place, line)

    def _record(self, config: dict[str, Any], name: str, value: float, unit: str) -> None:
        dimensions = {"FunctionName": str(config.get("FunctionName"))}
        self._telemetry.metrics.record(_place(config), "AWS/Lambda", name, value, unit, dimensions)


def _arn(config: dict[str, Any]) -> str:
    return str(config.get("FunctionArn") or "")


def _place(config: dict[str, Any]) -> Place:
    parts = str(config.get("FunctionArn") or ":::us-east-1:000000000000:").split(":")
    return Place(parts[4], parts[3])


def _trace_of_invocation(config: dict[str, Any], inbound_trace_header: str | None = None) -> str | None:
    del config
    inside = _inside.get()
    return str(inside) if inside else inbound_trace_header


def _no_metrics(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
    """Do nothing: `Invocations.dispatch` records every kind of invocation."""
    del function_name, duration_ms, error, throttle
