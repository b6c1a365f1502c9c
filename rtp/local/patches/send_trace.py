"""SendMessage: the caller's X-Amzn-Trace-Id goes with the message as AWSTraceHeader, as SQS has it."""

from __future__ import annotations

from typing import Any

from rtp.local.patches import replace
from rtp.local.tracing import header


def apply() -> None:
    """Put it in."""
    from ministack.services import sqs

    def build(now: float, sys_attrs_input: dict[str, Any]) -> dict[str, Any]:
        system: dict[str, Any] = build_one(now, sys_attrs_input)
        caller = header.current.get()
        if caller and caller.recorded:
            system.setdefault("AWSTraceHeader", str(caller))
        return system

    build_one = replace(sqs, "_build_send_sys_attrs", build, "now sys_attrs_input")
