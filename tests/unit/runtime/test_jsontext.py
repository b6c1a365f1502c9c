"""JSON is read and written with the same value, or refused with its path."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.runtime import attributes, jsontext
from rtp.runtime.jsontext import JsonError

numbers = st.integers(-(10**38) + 1, 10**38 - 1) | st.decimals(
    allow_nan=False, allow_infinity=False, min_value=Decimal("-1e60"), max_value=Decimal("1e60"), places=18
).filter(lambda d: len(d.as_tuple().digits) <= 38)
texts = st.text(max_size=40)  # any code point but surrogates
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=25,
)


@given(values)
def test_written_json_reads_back_equal(value: Any) -> None:
    assert jsontext.loads(jsontext.dumps(value)) == value


@given(values)
def test_stored_attributes_read_back_equal(value: Any) -> None:
    try:
        stored = attributes.pack(value)
    except attributes.NotNativeError:  # an empty key or deep nesting: stored as text instead
        return
    assert attributes.unpack(stored) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.10", Decimal("1.10")),
        ("-0.0", Decimal("0")),
        ("0e999", Decimal(0)),
        ("1e125", Decimal("1e125")),
        ("1" + "0" * 60, 10**60),
        ("0.1234567890123456789012345678901234567", Decimal("0.1234567890123456789012345678901234567")),
        ("9" * 38, int("9" * 38)),
        ('"\\u0000\\u202e\\ud83d\\ude00"', "\x00\u202e\U0001f600"),
        ('{"":{"a":[]}}', {"": {"a": []}}),
    ],
)
def test_unusual_values_are_exact(text: str, value: Any) -> None:
    read = jsontext.loads(text)

    assert read == value
    assert jsontext.loads(jsontext.dumps(read)) == value
    assert not isinstance(read, float)


@pytest.mark.parametrize(
    ("text", "path", "why"),
    [
        ("", "$", "not JSON"),
        ('{"a":', "$", "not JSON"),
        ('{"a":[1,NaN]}', "$.a[1]", "NaN"),
        ('{"a":-Infinity}', "$.a", "-Infinity"),
        ('{"a":{"b c":1e400}}', '$.a["b c"]', "out of range"),
        ('{"a":1e-200}', "$.a", "out of range"),
        ('{"a":1e99999999999999999999}', "$.a", "out of range"),
        ('{"a":' + "1" * 39 + "}", "$.a", "39 digits"),
        ('{"a":' + "1" * 5000 + "}", "$.a", "5000 digits"),
        ('{"a":0.' + "1" * 40 + "}", "$.a", "40 digits"),
        ('{"a":{"b":1,"b":2}}', "$.a", 'duplicate key "b"'),
        ('{"a":"\\ud800"}', "$.a", "surrogate"),
        ('{"\\udfff":1}', "$", "surrogate"),
        ('{"a":"\ud800"}', "$", "surrogate"),
        ("[" * 65 + "]" * 65, "$" + "[0]" * 64, "deeper than 64"),
        ("[" * 100_000 + "]" * 100_000, "$", "deeper than 64"),
    ],
)
def test_ambiguous_json_is_refused_with_its_path(text: str, path: str, why: str) -> None:
    with pytest.raises(JsonError) as refused:
        jsontext.loads(text)

    problem = refused.value.problems[0]
    assert problem.path == path
    assert why in problem.message


def test_at_most_20_problems_are_named() -> None:
    with pytest.raises(JsonError) as refused:
        jsontext.loads('{"a":NaN,"b":[' + ",".join(["NaN"] * 100) + "]}")

    assert [p.path for p in refused.value.problems][:2] == ["$.a", "$.b[0]"]
    assert len(refused.value.problems) == 20


def test_bytes_are_utf8() -> None:
    assert jsontext.loads('"é"'.encode()) == "é"
    with pytest.raises(JsonError, match="not UTF-8"):
        jsontext.loads(b'"\xff"')


def test_python_values_are_converted_as_if_read() -> None:
    converted = jsontext.exact({"f": 0.1, "t": (1, 2), "n": None, "b": True})

    assert converted == {"f": Decimal("0.1"), "t": [1, 2], "n": None, "b": True}
    assert converted["b"] is True


def _cycle() -> list[Any]:
    converted: list[Any] = []
    converted.append(converted)
    return converted


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": {1, 2}}, "$.a"),
        ({"a": [b"x"]}, "$.a[0]"),
        ({"a": float("nan")}, "$.a"),
        ({"a": Decimal("Infinity")}, "$.a"),
        ({1: 2}, "$"),
        (_cycle(), "$"),
        ("\ud800", "$"),
    ],
)
def test_python_values_that_are_not_json_are_refused(value: Any, path: str) -> None:
    with pytest.raises(JsonError) as refused:
        jsontext.exact(value)

    assert refused.value.problems[0].path == path
