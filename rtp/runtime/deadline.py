"""How much of the function's time is left for processing."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAST_SHARE = 0.2  # of the function's time, which an event that begins late must have left
_MARGIN_SHARE, _MIN_MARGIN, _MAX_MARGIN = 0.15, 0.4, 4.0  # of the function's time; s


class Deadline:
    """The deadline of one invocation. `ends`: when Lambda kills it (epoch s). `remaining` uses the monotonic clock."""

    def __init__(
        self, context: Any, *, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.total: float = context.get_remaining_time_in_millis() / 1000
        self.ends = clock() + self.total
        self._monotonic = monotonic
        margin: float = min(_MAX_MARGIN, max(_MIN_MARGIN, self.total * _MARGIN_SHARE))
        self._processing_ends: float = monotonic() + self.total - margin

    def has_share(self) -> bool:
        """Whether enough of the time is left to begin with further events."""
        return self.remaining() >= self.total * _LEAST_SHARE

    def remaining(self) -> float:
        """Return the seconds left for processing, without a margin for recording the attempts."""
        return self._processing_ends - self._monotonic()
