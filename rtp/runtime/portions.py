"""Divide a batch into portions that the function's memory can hold. They are processed one after the other.

Parsed JSON takes up to a hundred times the memory of its text, so that ten events of 256 KiB can take more than a small
function has. Nearly every batch is one portion.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rtp.runtime.delivery import Delivery

_MB = 1_000_000
_RESERVE_MB = 64  # of the interpreter, the clients and the user's imports
_SHARE = 0.6  # of the rest; the others are for what processors create
_COPIES = 2  # of the parsed data: the event's own, and the processor's copy or a result of the same size
_TEXTS = 6  # copies of the text: the message, its lines in the archive, and their encoded forms
# Bytes of Python's objects for each token of the text, measured as the peak of a batch.
_PER_TOKEN = {",": 80, "[": 70, ":": 100, "{": 200, "{}": -150}


def divide(deliveries: Sequence[Delivery], memory_mb: int) -> Iterator[list[Delivery]]:
    """Yield the deliveries in order, in portions for a function of memory_mb. One that is too large is alone."""
    allowed = max(0.0, (memory_mb - _RESERVE_MB) * _SHARE * _MB)
    portion: list[Delivery] = []
    taken = 0
    for delivery in deliveries:
        needed = weight(delivery.body)
        if portion and taken + needed > allowed:
            yield portion
            portion, taken = [], 0
        portion.append(delivery)
        taken += needed
    if portion:
        yield portion


def weight(text: str) -> int:
    """Return about how many bytes of memory an event of this text takes while it is processed, or more."""
    tokens = sum(text.count(token) * size for token, size in _PER_TOKEN.items())
    return _TEXTS * sys.getsizeof(text) + _COPIES * tokens
