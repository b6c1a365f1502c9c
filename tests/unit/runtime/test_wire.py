"""The forms of ids and times in messages."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("text", "body", "to_api"),
    [
        ('{"a": "x"}', '{"a": "x"}', '{"a": "x"}'),
        ('"\ufffe\ufffe"', r'"\ufffe\ufffe"', r'"\ufffe\ufffe"'),
        ('"\uffff"', r'"\uffff"', r'"\uffff"'),
        ('"\ufffe\uffff"', r'"\ufffe\uffff"', r'"\ufffe\uffff"'),
        ('"\ufffd\ufffd"', '"\ufffd\ufffd"', r'"\ufffd\ufffd"'),
    ],
)
def test_characters_that_a_queue_or_the_gateway_does_not_carry_are_escaped(text: str, body: str, to_api: str) -> None:
    assert wire.message_body(text) == body
    assert wire.request_body(text) == to_api
    assert json.loads(body) == json.loads(to_api) == json.loads(text)


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("a%b", "a%25b"),
        (":a", "%3Aa"),
        (" a", "%20a"),
        ("a\n", "a%0A"),
        ("ä b", "%C3%A4%20b"),
        ("x" * 1024, "x" * 1024),
        ("ä" * 170 + "abcd", "%C3%A4" * 170 + "abcd"),
        ("ä" * 170 + "abcde", ("%C3%A4" * 170)[: 1024 - 9] + "~f957de61"),
    ],
    ids=["percent", "colon", "space", "control", "not ASCII", "long", "as long as allowed", "too long"],
)
def test_other_characters_of_a_dimension_are_encoded_and_a_long_one_ends_in_a_checksum(type: str, value: str) -> None:
    assert wire.metric_dimension(type) == value
    assert len(value) <= wire.MAX_DIMENSION


@pytest.mark.parametrize(
    ("text", "digits", "number"),
    [("12", 2, 12), ("123", 2, -7), ("", 2, -7), ("1a", 2, -7), ("-1", 2, -7), ("\u0661", 2, 1), ("\u00b2", 2, -7)],
)
def test_a_number_of_an_attribute_has_only_digits_and_not_too_many(text: str, digits: int, number: int) -> None:
    assert wire.integer(text, digits=digits, otherwise=-7) == number
