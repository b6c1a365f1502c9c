"""How a table fits a terminal: what identifies a row is never cut, what matters least goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.text.elements import Column

GAP = 2
_FOLDED = 10  # a column that folds needs no more
_CUT = 6  # a column that is cut keeps so much


def fit(columns: Sequence[Column], natural: Sequence[int], room: int) -> dict[int, int]:
    """Widths of the columns that are shown, by their position.

    Optional columns are left out first, the last one of them before the others; then text is cut, from the right, and
    then the rest is left out from the right. The first column, ids and numbers stay whole.
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
    while excess() > 0 and len(shown) > 1:
        shown.pop()
    left = -excess()
    for i in shown:
        if columns[i].fold and left > 0:
            more = min(left, natural[i] - need[i])
            need[i] += more
            left -= more
    return {i: need[i] for i in shown}
