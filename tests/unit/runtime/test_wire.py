"""The forms of ids and times in messages."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.ops.events.identity import uuid7
from rtp.runtime import wire


def test_a_uuid7_contains_its_time() -> None:
    assert wire.uuid7_timestamp(uuid7(1_700_000_000_123)) == 1_700_000_000_123
    assert wire.uuid7_timestamp(uuid7(1_700_000_000_123).upper()) == 1_700_000_000_123
    assert wire.uuid7_timestamp("01890a5d-ac96-474b-bcce-b302099a8057") is None
    assert wire.uuid7_timestamp(uuid7() + "0") is None


@pytest.mark.parametrize(
    ("request_id", "request_time", "identity"),
    [
        ("r1", "17", ("r1", 17)),
        ("", "17", ("m1", 17)),
        ("r1", "", ("r1", 5)),
        ("r1", "-1", ("r1", 5)),
        ("r1", "1.5", ("r1", 5)),
        ("r1", "9" * 14, ("r1", 99_999_999_999_999)),
        ("r1", "9" * 15, ("r1", 5)),
        ("x" * 200, "", ("x" * 128, 5)),
    ],
)
def test_an_event_without_an_id_has_the_identity_of_its_request_or_else_of_its_message(
    request_id: str, request_time: str, identity: tuple[str, int]
) -> None:
    assert wire.fallback_identity(request_id, request_time, message_id="m1", sent_at=5) == identity


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128))
def test_any_type_becomes_a_valid_dimension_from_which_it_can_be_read(type: str) -> None:
    value = wire.metric_dimension(type)
    assert value.isascii() and value.isprintable() and value.strip() and not value.startswith(":")
    assert len(value) <= wire.MAX_DIMENSION
    assert unquote(value) == type or len(value) == wire.MAX_DIMENSION


def test_long_types_with_the_same_beginning_have_different_dimensions() -> None:
    first, second = ("🦀" * 127 + end for end in "ab")
    assert len({wire.metric_dimension(first), wire.metric_dimension(second)}) == 2


@pytest.mark.parametrize("type", ["order.created", "order created", "order:paid", "a"])
def test_an_ordinary_type_is_used_unchanged(type: str) -> None:
    assert wire.metric_dimension(type) == type


@pytest.mark.parametrize(
    ("mark", "run", "message_id"),
    [("r1#m1", "r1", "m1"), ("r1#m#1", "r1", "m#1"), ("r1", "r1", ""), ("", "", "")],
)
def test_a_redriven_message_names_its_run_and_the_message_that_it_was(mark: str, run: str, message_id: str) -> None:
    assert wire.redriven(mark) == (run, message_id)
