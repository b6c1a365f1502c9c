"""How data is laid out on stdout."""

from __future__ import annotations

from typing import NamedTuple


class Layout(NamedTuple):
    """How data is laid out on stdout.

    wide: nothing is cut, folded or left out for the width of a terminal. raw: what the query selects is printed as
    text: a string without quotes, the elements of a list a line each.
    """

    wide: bool = False
    raw: bool = False
