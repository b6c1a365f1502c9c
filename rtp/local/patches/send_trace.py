"""SendMessage: the caller's X-Amzn-Trace-Id goes with the message as AWSTraceHeader, as SQS has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry
from rtp.local.tracing import header


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import sqs

    def build(now: float, sys_attrs_input: dict[str, Any]) -> dict[str, Any]:
        system: dict[str, Any] = build_one(now, sys_attrs_input)
        caller = header.current.get()
        if caller and caller.recorded:
            system.setdefault("AWSTraceHeader", str(caller))
        return system

    build_one = replace(sqs, "_build_send_sys_attrs", build, "now sys_attrs_input")


PATCH = Patch(
    name="send_trace",
    aws="SendMessage stores the caller's X-Amzn-Trace-Id as the message's AWSTraceHeader.",
    engine="The header is dropped.",
    test="tests/local/engine/test_patches.py::a_caller_s_trace_is_lost",
    install=install,
)
