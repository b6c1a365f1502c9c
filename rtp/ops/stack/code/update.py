"""Changing a function or an event source past CloudFormation, and waiting until the change is in effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import updates
from rtp.errors import AwsError, RtpError, WaitTimeoutError
from rtp.ops.work.busy import when_free
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import poll

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.functions import Function
    from rtp.ops.work.clock import Clock

_TIMEOUT_S = 180.0
_CHANGING = ("Creating", "Enabling", "Disabling", "Updating")  # states of an event source that end by themselves


def code(aws: Aws, name: str, archive: Path, *, clock: Clock = SYSTEM) -> None:
    """Replace the function's code by that of a zip. Raises WaitTimeoutError, or RtpError where Lambda fails to."""
    _update(aws, name, lambda: updates.update_code(aws, name, archive), clock)


def limits(aws: Aws, name: str, *, timeout_s: int, memory_mb: int, clock: Clock = SYSTEM) -> None:
    """Set the function's timeout and memory. Raises as `code`."""
    _update(aws, name, lambda: updates.update_limits(aws, name, timeout_s=timeout_s, memory_mb=memory_mb), clock)


def handler(aws: Aws, name: str, handler: str, *, clock: Clock = SYSTEM) -> None:
    """Set the function's handler. Raises as `code`."""
    _update(aws, name, lambda: updates.update_handler(aws, name, handler), clock)


def event_source(aws: Aws, mapping: str, *, on: bool, clock: Clock = SYSTEM) -> bool:
    """Enable or disable an event source mapping; False when there is none of this id. Raises WaitTimeoutError.

    Lambda refuses the change while another one is under way, which is waited for.
    """
    requested = "Enabled" if on else "Disabled"
    try:
        when_free(
            lambda: updates.switch_event_source(aws, mapping, on=on),
            f"The event source {mapping}",
            0.1 if aws.local else 2.0,
            timeout_s=_TIMEOUT_S,
            clock=clock,
        )
        state = _state(aws, mapping, lambda state: state in (requested, "Deleting"), clock)
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return False
        raise
    if state == "Deleting":
        return False
    if state != requested:
        raise WaitTimeoutError(
            f"The event source {mapping} was to become {requested}; after {_TIMEOUT_S:.0f} s it is still {state}.",
            hint="Repeat the command.",
        )
    return True


def settled(aws: Aws, mapping: str, *, clock: Clock = SYSTEM) -> str:
    """The state of an event source mapping after a change that is under way. Raises WaitTimeoutError."""
    state = _state(aws, mapping, lambda state: state not in _CHANGING, clock)
    if state in _CHANGING:
        raise WaitTimeoutError(
            f"The event source {mapping} is still {state} after {_TIMEOUT_S:.0f} s.", hint="Repeat the command."
        )
    return state


def _state(aws: Aws, mapping: str, until: Callable[[str], bool], clock: Clock) -> str:
    """The state of an event source mapping, once it is accepted or the time is up."""
    return poll(
        lambda: updates.event_source_state(aws, mapping),
        until,
        0.1 if aws.local else 2.0,
        timeout_s=_TIMEOUT_S,
        clock=clock,
    )


def _update(aws: Aws, name: str, start: Callable[[], None], clock: Clock) -> None:
    """Start an update once no other one runs, and wait for its end."""
    pause_s = 0.05 if aws.local else 1.0
    _free(aws, name, pause_s, clock)
    when_free(start, name, pause_s, timeout_s=_TIMEOUT_S, clock=clock)
    function = _free(aws, name, pause_s, clock)
    if function is not None and "Failed" in (function.update, function.state):
        raise RtpError(
            f"Lambda could not update {name}: {function.reason or 'it gave no reason'}",
            hint="Run `rtp deploy`; the function runs its earlier code until then.",
            code="update-failed",
        )


def _free(aws: Aws, name: str, pause_s: float, clock: Clock) -> Function | None:
    """The function when no update of it runs; None where there is none. Raises WaitTimeoutError."""
    function = poll(
        lambda: updates.describe(aws, name),
        lambda function: function is None or not function.is_changing,
        pause_s,
        timeout_s=_TIMEOUT_S,
        clock=clock,
    )
    if function is not None and function.is_changing:
        raise WaitTimeoutError(
            f"An update of {name} is still in progress after {_TIMEOUT_S:.0f} s.", hint="Repeat the command."
        )
    return function
