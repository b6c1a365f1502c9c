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


def tally(items: Iterable[Any], by: Expression | None) -> Tally:
    """Count items, each as its JSON has it. Raises UsageError where the expression does not fit."""
    counted: Counter[str] = Counter()
    total = 0
    for item in items:
        total += 1
        if by is not None:
            counted[by.label(item)] += 1
    ordered = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    return Tally(total, None if by is None else by.text, [ValueCount(value, count) for value, count in ordered])
