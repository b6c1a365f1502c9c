"""Calls that AWS refuses while it still changes the resource: "not yet", which is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import AwsError, WaitTimeoutError
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rtp.ops.work.clock import Clock

# Lambda: an event source in use, a function with an update under way; API Gateway: a concurrent change of a stage.
NOT_YET = ("ResourceInUseException", "ResourceConflictException", "ConflictException")


def when_free(
    call: Callable[[], object],
    what: str,
    pauses: float | Iterable[float],
    *,
    timeout_s: float,
    clock: Clock = SYSTEM,
) -> None:
    """Make the call, again while AWS says that the resource is being changed. Raises WaitTimeoutError.

    what: the resource, for the error.
    """

    def attempt() -> AwsError | None:
        try:
            call()
        except AwsError as error:
            if error.service_code in NOT_YET:
                return error
            raise
        return None

    refusal = poll(attempt, lambda error: error is None, pauses, timeout_s=timeout_s, clock=clock)
    if refusal is not None:
        raise WaitTimeoutError(
            f"{what} was still being changed by something else after {timeout_s:.0f} s: {refusal.message}",
            hint="Repeat the command when that change is done.",
        )
