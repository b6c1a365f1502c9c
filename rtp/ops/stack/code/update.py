"""Changing a function or an event source past CloudFormation, and waiting until the change is in effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import updates
from rtp.errors import AwsError, WaitTimeoutError
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import poll

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.ops.work.clock import Clock

_TIMEOUT_S = 120.0


def code(aws: Aws, name: str, archive: Path) -> None:
    """Replace the function's code by that of a zip. Raises WaitTimeoutError."""
    updates.update_code(aws, name, archive)
    _wait_for_function(aws, name)


def limits(aws: Aws, name: str, *, timeout_s: int, memory_mb: int) -> None:
    """Set the function's timeout and memory. Raises WaitTimeoutError."""
    updates.update_limits(aws, name, timeout_s=timeout_s, memory_mb=memory_mb)
    _wait_for_function(aws, name)


def handler(aws: Aws, name: str, handler: str) -> None:
    """Set the function's handler. Raises WaitTimeoutError."""
    updates.update_handler(aws, name, handler)
    _wait_for_function(aws, name)


def event_source(aws: Aws, mapping: str, *, on: bool, clock: Clock = SYSTEM) -> bool:
    """Enable or disable an event source mapping; False when there is none of this id. Raises WaitTimeoutError."""
    requested = "Enabled" if on else "Disabled"
    try:
        updates.switch_event_source(aws, mapping, on=on)
        state = poll(
            lambda: updates.event_source_state(aws, mapping),
            lambda state: state == requested,
            0.1 if aws.local else 2.0,
            timeout_s=_TIMEOUT_S,
            clock=clock,
        )
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return False
        raise
    if state != requested:
        raise WaitTimeoutError(
            f"The event source {mapping} is still {state} after {_TIMEOUT_S:.0f} s.", hint="Repeat the command."
        )
    return True


def _wait_for_function(aws: Aws, name: str) -> None:
    pause_s = 0.05 if aws.local else 1.0
    if poll(lambda: updates.is_updating(aws, name), lambda busy: not busy, pause_s, timeout_s=_TIMEOUT_S):
        raise WaitTimeoutError(f"{name} is still updating after {_TIMEOUT_S:.0f} s.", hint="See `rtp status`.")
