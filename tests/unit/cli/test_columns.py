"""A table in a narrow terminal has one line a row, and keeps what identifies its rows."""

from __future__ import annotations

from rtp.commands.render.records import COLUMNS
from rtp.terminal.columns import GAP, TAIL, fit_columns

NATURAL = (36, 8, 9, 20, 8, 60)
ID, TIME, STATUS, TYPE, ATTEMPTS, ERROR = range(6)


def fitted(room: int) -> dict[int, int]:
    widths = fit_columns(COLUMNS, NATURAL, room)
    assert widths is not None
    return widths


def taken(widths: dict[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)


def test_with_enough_room_every_column_is_as_wide_as_its_text() -> None:
    assert list(fitted(200).values()) == list(NATURAL)


def test_the_room_is_used_and_never_exceeded() -> None:
    for room in range(37, 160):
        assert taken(fitted(room)) == min(room, taken(dict(enumerate(NATURAL)))) or len(fitted(room)) < 6
        assert taken(fitted(room)) <= room


def test_long_text_is_cut_first_and_then_other_text() -> None:
    assert fitted(120)[TYPE] == 20 and fitted(120)[ERROR] < 60
    assert fitted(100)[TYPE] < 20 and fitted(100)[ERROR] == 14


def test_columns_are_dropped_in_their_order_and_what_identifies_a_row_never() -> None:
    dropped = [[i for i in range(6) if i not in fitted(room)] for room in (100, 88, 80, 65)]
    assert dropped == [[], [ATTEMPTS], [TYPE, ATTEMPTS], [TIME, TYPE, ATTEMPTS]]
    for room in range(36, 160):
        assert fitted(room).keys() >= {ID, STATUS, ERROR}


def test_an_id_is_cut_to_its_end_where_the_rest_does_not_fit_beside_it() -> None:
    assert fitted(63)[ID] == 36
    assert fitted(60)[ID] == fitted(40)[ID] == TAIL
    assert TIME in fitted(60)


def test_numbers_and_states_are_never_cut() -> None:
    for room in range(36, 160):
        assert fitted(room)[STATUS] == 9 and fitted(room).get(ATTEMPTS, 8) == 8
    assert fit_columns(COLUMNS, NATURAL, 35) is None
