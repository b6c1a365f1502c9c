"""Fit a table to the width of a terminal, one line a row: long text is cut first, then columns are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rtp.text.elements import Column

GAP = 2
_CUT = 12  # minimum width of other text that is cut
TAIL = 9  # width of an id of which only the end is shown


def fit_columns(columns: Sequence[Column], natural: Sequence[int], room: int) -> dict[int, int] | None:
    """Compute the widths of the columns to show, by position. natural: full widths. room: the terminal's columns.

    Long text is cut first, then other text, then columns are dropped in their order. Where the rest does not fit, the
    same is done with ids of which only the end is shown. Numbers, states and a first column that is no id are never
    cut. None where the columns do not fit in any of these ways.
    """
    stages = (False, True) if any(column.tail for column in columns) else (False,)
    for tails in stages:
        shown = list(range(len(columns)))
        while True:
            need = {i: _least(columns[i], natural[i], first=i == 0, tails=tails) for i in shown}
            spare = room - sum(need.values()) - GAP * (len(shown) - 1)
            if spare >= 0:
                return _spread(columns, natural, need, spare)
            optional = [i for i in shown if columns[i].drop]
            if not optional:
                break
            shown.remove(min(optional, key=lambda i: columns[i].drop))
    return None


def _least(column: Column, natural: int, *, first: bool, tails: bool) -> int:
    """The least width of a column."""
    if column.tail:
        return min(natural, TAIL) if tails else natural
    if column.long or column.fold:
        return min(natural, column.least)
    return natural if first or column.right or column.whole else min(natural, _CUT)


def _spread(columns: Sequence[Column], natural: Sequence[int], need: dict[int, int], spare: int) -> dict[int, int]:
    """Give the spare room to columns that are cut: short text first, and to long texts in equal parts."""

    def give(to: Iterable[int]) -> None:
        nonlocal spare
        cut = [i for i in to if need[i] < natural[i]]
        while cut and spare >= len(cut):
            more = min(spare // len(cut), *(natural[i] - need[i] for i in cut))
            for i in cut:
                need[i] += more
            spare -= more * len(cut)
            cut = [i for i in cut if need[i] < natural[i]]
        for i in cut[:spare]:
            need[i] += 1
            spare -= 1

    give(i for i in need if not (columns[i].tail or columns[i].long or columns[i].fold))
    give(i for i in need if columns[i].long or columns[i].fold)
    return need
