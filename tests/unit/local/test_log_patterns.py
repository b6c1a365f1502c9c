"""Filter patterns of CloudWatch Logs."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.local.log_patterns import compile_pattern

LINE = '{"level": "ERROR", "event_id": "a b", "n": 3, "deep": {"list": [1, {"x": null}]}, "ok": true}'


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "ERROR",
        "ERROR level",
        '"a b"',
        "ERROR -WARN",
        "?WARN ?ERROR",
        "%ERR.R%",
        '{ $.level = "ERROR" }',
        '{ $.level = "ERR*" }',
        "{ $.level = %^E% }",
        '{ $.level != "WARN" }',
        '{ $.event_id = "a b" && $.n >= 3 }',
        "{ $.n = 3 || $.n = 4 }",
        '{ ($.n > 2) && ($.level = "WARN" || $.level = "ERROR") }',
        "{ $.deep.list[0] = 1 }",
        "{ $.deep.list[1].x IS NULL }",
        "{ $.ok IS TRUE }",
        "{ $.nothing NOT EXISTS }",
    ],
)
def test_it_matches(pattern: str) -> None:
    assert compile_pattern(pattern)(LINE)


@pytest.mark.parametrize(
    "pattern",
    [
        "WARN",
        "error",
        "ERROR WARN",
        "-ERROR",
        '"b a"',
        '{ $.level = "error" }',
        '{ $.nothing = "x" }',
        '{ $.nothing != "x" }',
        "{ $.n > 3 }",
        "{ $.level > 3 }",
        "{ $.ok IS FALSE }",
        "{ $.deep.list[7] = 1 }",
    ],
)
def test_it_does_not(pattern: str) -> None:
    assert not compile_pattern(pattern)(LINE)


def test_a_json_pattern_is_about_json_alone() -> None:
    assert not compile_pattern('{ $.level = "ERROR" }')("ERROR plain text")
    assert not compile_pattern('{ $.level = "ERROR" }')("{not json")


@pytest.mark.parametrize("pattern", ["{ $.a = ", "{ $.a }", "{ a = 1 }", "{ $.a ~ 1 }", "{ ($.a = 1 }", "%(%"])
def test_nonsense_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="Invalid filter pattern"):
        compile_pattern(pattern)


@given(st.text(alphabet='{}$.ab=<>!&|"%()[] *-?01', max_size=40))
def test_no_pattern_breaks_it(pattern: str) -> None:
    with contextlib.suppress(ValueError):
        compile_pattern(pattern)(LINE)
