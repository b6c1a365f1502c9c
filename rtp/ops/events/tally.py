"""Counts of records or DLQ messages by a value that they have."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.text.queries import Expression


@dataclass(frozen=True, slots=True)
class ValueCount:
    """One value and how many have it.

    value: as text; `-` where it is null. count: how many.
    """

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many match the filters, with --count or --by.

    total: all of them. by: the expression of --by; null without it. counts: of each value, most frequent first.
    """

    total: int
    by: str | None
    counts: list[ValueCount]


class Counting:
    """Counts items, each as its JSON has it, as they come."""

    def __init__(self, by: Expression | None) -> None:
        self._by = by
        self._counted: Counter[str] = Counter()
        self._total = 0

    def add(self, items: Iterable[Any]) -> None:
        """Count items. Raises UsageError where the expression does not fit."""
        for item in items:
            self._total += 1
            if self._by is not None:
                self._counted[self._by.label(item)] += 1

    def tally(self) -> Tally:
        """The counts so far."""
        ordered = sorted(self._counted.items(), key=lambda pair: (-pair[1], pair[0]))
        by = None if self._by is None else self._by.text
        return Tally(self._total, by, [ValueCount(value, count) for value, count in ordered])


def tally(items: Iterable[Any], by: Expression | None) -> Tally:
    """Count items, each as its JSON has it. Raises UsageError where the expression does not fit."""
    counting = Counting(by)
    counting.add(items)
    return counting.tally()
