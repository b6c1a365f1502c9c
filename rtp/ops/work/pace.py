"""How long a tail waits between polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import EndpointError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.errors import AwsError

WORST_WAIT_S = 30.0


class Pace:
    """How long to wait between polls, s: little while lines come, more when idle, much more in trouble."""

    def __init__(self, least: float, most: float) -> None:
        self._least, self._most = least, most
        self._idle = least
        self._trouble = 0.0

    def recovered(self, notify: Callable[[str], None]) -> None:
        """Tell it when the poll before this one had failed."""
        if self._trouble:
            notify("Following again; nothing was missed.")

    def after(self, *, came: bool) -> float:
        """The wait after a poll that worked."""
        self._trouble = 0.0
        self._idle = self._least if came else min(self._most, self._idle * 1.3)
        return self._idle

    def after_trouble(self, error: AwsError, notify: Callable[[str], None]) -> float:
        """The wait after one that failed, which is told once. Raises what does not pass by itself."""
        if not (isinstance(error, EndpointError) or error.code == "throttled"):
            raise error
        if not self._trouble:
            notify(f"{error.message} Trying again.")
        self._trouble = min(WORST_WAIT_S, self._trouble * 2 or self._least)
        return self._trouble
