"""A table in a narrow terminal keeps what identifies its rows."""

from __future__ import annotations

from rtp.terminal.columns import GAP, fit_columns
from rtp.text.elements import Column

COLUMNS = (
    Column("ID"),
    Column("STATUS", whole=True),
    Column("TYPE"),
    Column("ATTEMPTS", right=True, optional=True),
    Column("ERROR", fold=True),
)
NATURAL = (36, 9, 13, 8, 40)


def fitted(room: int) -> dict[int, int]:
    widths = fit_columns(COLUMNS, NATURAL, room)
    assert widths is not None
    return widths


def taken(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def test_with_enough_room_every_column_is_as_wide_as_its_text() -> None:
    assert list(fitted(200).values()) == list(NATURAL)


def test_a_folding_column_takes_the_remaining_room() -> None:
    widths = fitted(100)
    assert taken(widths) == 100
    assert (widths[0], widths[2], widths[3]) == (36, 13, 8)


def test_an_optional_column_is_dropped_before_text_is_cut() -> None:
    widths = fitted(80)
    assert 3 not in widths
    assert (widths[0], widths[1], widths[2]) == (36, 9, 13)
    assert taken(widths) <= 80


def test_no_column_but_an_optional_one_is_dropped() -> None:
    for room in range(67):
        assert fit_columns(COLUMNS, NATURAL, room) is None
    for room in range(67, 120):
        assert fitted(room).keys() >= {0, 1, 2, 4}


def test_text_is_cut_before_ids_and_states() -> None:
    widths = fitted(68)
    assert (widths[0], widths[1]) == (36, 9)
    assert 6 <= widths[2] < 13
    assert taken(widths) <= 68
