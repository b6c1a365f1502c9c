"""Repeat what AWS left out of a batch.

A batch call can succeed and still leave entries undone, mostly under load. Each such call of rtp goes through
`complete`, which repeats it with what is left, after a pause that grows and is random, so that clients do not repeat in
step. The number of calls is limited.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_Left = TypeVar("_Left")
CALLS = 9  # within about 17 s
CALLS_IN_FUNCTION = 4  # within a second: a function has a deadline, and its message is delivered again
_FIRST_S, _LONGEST_S = 0.1, 5.0
# Codes of single entries that the service may accept a moment later.
PASSING = frozenset(
    (
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "OperationAborted",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
    )
)


def complete(
    ask: Callable[[_Left], _Left],
    entries: _Left,
    *,
    calls: int = CALLS,
    sleep: Callable[[float], None] = time.sleep,
    random: Callable[[], float] = random.random,
) -> _Left:
    """Call `ask` with the entries, then with those that it returns as left out, until none are.

    Returns what is left after the last call, empty where everything was done. calls: the largest number of calls.
    """
    left, pause = ask(entries), _FIRST_S
    for _ in range(calls - 1):
        if not left:
            break
        sleep(pause * (0.5 + random() / 2))
        pause = min(_LONGEST_S, pause * 2)
        left = ask(left)
    return left


def may_pass(failure: Mapping[str, Any]) -> bool:
    """Whether a failed entry of an SQS batch may succeed later: SQS names faults of the sender."""
    return not failure.get("SenderFault", False)
