"""How often one call of a client may fail: an SDK's retries must succeed in the end."""

from __future__ import annotations

from collections import OrderedDict

MAX_FAULTS = 2  # of one call; the SDKs make three attempts (JavaScript) or more
_REMEMBERED = 5_000


class Budget:
    """Counts the faults of each call by what its retries have in common."""

    def __init__(self, max_faults: int = MAX_FAULTS) -> None:
        self._max = max_faults
        self._faults: OrderedDict[str, int] = OrderedDict()
        self.total = 0

    def take(self, attempt: str) -> bool:
        """Count one fault; False if the call has had all of its faults."""
        count = self._faults.get(attempt, 0)
        if count >= self._max:
            return False
        self._faults[attempt] = count + 1
        self._faults.move_to_end(attempt)
        self.total += 1
        if len(self._faults) > _REMEMBERED:
            self._faults.popitem(last=False)
        return True
