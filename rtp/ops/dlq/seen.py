"""What a reading remembers of each message: 16 bytes of its id, and its receipts as one text a round."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_ROUNDS = 50  # whose receipts are used together


class Seen:
    """A set of message ids. They cannot be listed."""

    def __init__(self) -> None:
        self._numbers: set[int] = set()

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, message_id: str) -> bool:
        return _number(message_id) in self._numbers

    def update(self, message_ids: Iterable[str]) -> None:
        """Add ids."""
        self._numbers.update(map(_number, message_ids))

    def remove(self, message_ids: Iterable[str]) -> None:
        """Take ids out."""
        self._numbers.difference_update(map(_number, message_ids))


class Receipts:
    """The receipts of messages, to make them visible again. The older one of a message received twice does no harm."""

    def __init__(self) -> None:
        self._rounds: list[str] = []

    def add(self, receipts: Iterable[str]) -> None:
        """Add the receipts of one round."""
        self._rounds.append("\n".join(receipts))

    def __iter__(self) -> Iterator[list[str]]:
        """The receipts of some rounds at a time, the oldest first."""
        for start in range(0, len(self._rounds), _ROUNDS):
            if text := "\n".join(one for one in self._rounds[start : start + _ROUNDS] if one):
                yield text.split("\n")


def _number(message_id: str) -> int:
    """128 bits of an id; SQS's ids are UUIDs."""
    if _UUID.fullmatch(message_id):
        return int(message_id.replace("-", ""), 16)
    return int.from_bytes(hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=16).digest())
