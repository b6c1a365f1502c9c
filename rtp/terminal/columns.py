"""Fit a table to the width of a terminal: the first column is never cut, only optional columns are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.text.elements import Column

GAP = 2
_FOLDED = 10  # minimum width of a column that folds
_CUT = 6  # minimum width of a column that is cut


def fit_columns(columns: Sequence[Column], natural: Sequence[int], room: int) -> dict[int, int] | None:
    """Compute the widths of the columns to show, by position. natural: full widths. room: the terminal's columns.

    Optional columns are dropped first, from the right; then text is cut, from the right. The first column, ids and
    numbers are never cut. None where the others do not fit.
    """
    need = [min(n, _FOLDED) if c.fold else n for c, n in zip(columns, natural, strict=True)]
    shown = list(range(len(columns)))

    def excess() -> int:
        return sum(need[i] for i in shown) + GAP * (len(shown) - 1) - room

    for i in reversed(range(len(columns))):
        if excess() > 0 and columns[i].optional:
            shown.remove(i)
    for i in reversed(shown):
        column = columns[i]
        if excess() > 0 and i > 0 and not (column.right or column.whole or column.fold):
            need[i] = max(min(need[i], _CUT), need[i] - excess())
    if excess() > 0:
        return None
    spare = -excess()
    for i in shown:
        if columns[i].fold and spare > 0:
            more = min(spare, natural[i] - need[i])
            need[i] += more
            spare -= more
    return {i: need[i] for i in shown}
