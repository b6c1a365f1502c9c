"""How long a tail waits between polls."""

from __future__ import annotations

WORST_WAIT_S = 30.0


class Pace:
    """How long to wait between polls, s: little while lines come, more when idle, much more in trouble."""

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most
        self._idle = least
        self._trouble = 0.0

    @property
    def troubled(self) -> bool:
        """Whether the last poll failed."""
        return self._trouble > 0

    def after(self, *, came: bool) -> float:
        """The wait after a poll that worked."""
        self._trouble = 0.0
        self._idle = self._least if came else min(self._most, self._idle * 1.3)
        return self._idle

    def after_trouble(self) -> float:
        """The wait after one that failed."""
        self._trouble = min(WORST_WAIT_S, self._trouble * 2 or self._least)
        return self._trouble
