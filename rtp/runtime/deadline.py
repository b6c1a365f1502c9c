"""How much of the function's time is left, less what answering in good order takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_MARGIN_SHARE, _LEAST_MARGIN, _MOST_MARGIN = 0.15, 0.4, 4.0  # of the function's time; s


class Deadline:
    """Of one invocation. `ends` is when Lambda kills it (epoch s); it is counted on a clock that nobody sets."""

    def __init__(
        self, context: Any, *, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.total: float = context.get_remaining_time_in_millis() / 1000
        self.ends = clock() + self.total
        self._monotonic = monotonic
        margin: float = min(_MOST_MARGIN, max(_LEAST_MARGIN, self.total * _MARGIN_SHARE))
        self._guard: float = monotonic() + self.total - margin

    def remaining(self) -> float:
        """Seconds left for processing; what is left after them is for writing down how it ended."""
        return self._guard - self._monotonic()
