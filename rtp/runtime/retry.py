"""The retry policy: when an event is tried again, for messages of the queue and for requests that are queued."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from rtp.runtime import wire
from rtp.runtime.outcomes import Busy, Outage, Settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.runtime.delivery import Delivery
    from rtp.runtime.outcomes import Outcome
    from rtp.runtime.settings import Settings

_OUTAGE_BASE, _OUTAGE_FACTOR, _OUTAGE_CAP = 10, 4, 900  # s
_CHANCE = random.SystemRandom().random  # a snapshot's copies must not share their jitter


def pause(outcome: Outcome, delivery: Delivery, settings: Settings, now: float) -> int:
    """Return the seconds until the next attempt, at least until a lease ends: before, nobody can claim the event."""
    match outcome:
        case Busy(lease_until):
            return max(_lease_seconds(lease_until, now), 1)
        case Outage(lease_until=lease_until):
            return max(_lease_seconds(lease_until, now), outage_backoff(delivery.receives))
        case Settled(verdict, lease_until) if verdict.is_outage:
            return max(_lease_seconds(lease_until, now), outage_backoff(delivery.receives))
        case _ if delivery.is_last:
            return 0  # SQS moves the message to the DLQ as soon as it is visible
        case _:
            return backoff(delivery.receives, base=settings.backoff_base_s, cap=settings.backoff_cap_s)


def backoff(receives: int, *, base: float, cap: float, rng: Callable[[], float] = _CHANCE) -> int:
    """Return the seconds after a processor's failure: `base`, doubled with each receive, at most `cap`.

    The upper half is random.
    """
    full: float = min(cap, base * 2.0 ** min(receives - 1, 32))
    return min(wire.MAX_VISIBILITY_SECONDS, math.ceil(full / 2 + rng() * full / 2))


def outage_backoff(receives: int, *, rng: Callable[[], float] = _CHANCE) -> int:
    """Return the seconds after a failure of AWS: about 10, 40, 160, 640.

    Longer than after a processor's failure, so that an outage of some minutes does not use up all attempts.
    """
    full: float = min(_OUTAGE_CAP, _OUTAGE_BASE * _OUTAGE_FACTOR ** min(receives - 1, 8))
    return math.ceil(full * (1 + rng() / 4))


def _lease_seconds(lease_until: float, now: float) -> int:
    """Return the seconds until a lease ends, rounded up; less than 1 where it has ended, 0 without one."""
    return min(wire.MAX_DELAY_SECONDS, int(lease_until - now) + 1) if lease_until else 0
