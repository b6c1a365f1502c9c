"""Regular expressions of filter patterns: AWS's dialect, and a time that grows with the text alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.local.filter_regex import compile_regex

ATOMS = ["a", "b", "c", ".", "[ab]", "[^a]", r"\d", r"\w", r"\W", r"\S", "1", "[a-c1]", r"\x61", "-", r"\."]
REPEATS = ["", "", "", "?", "*", "+", "{2}", "{1,2}", "{0,2}", "{2,}", "*?", "+?", "{0}"]
SEQUENCES = st.tuples(
    st.sampled_from(["", "", "^"]),
    st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(REPEATS)).map("".join), max_size=5).map("".join),
    st.sampled_from(["", "", "$"]),
).map("".join)


@given(st.lists(SEQUENCES, min_size=1, max_size=3).map("|".join), st.text("aabbc1-. é\n]", max_size=9))
def test_it_matches_what_the_standard_library_matches(regex: str, text: str) -> None:
    assert compile_regex(regex)(text) == (re.search(regex, text, re.ASCII | re.DOTALL) is not None)


@pytest.mark.parametrize(
    ("regex", "text"),
    [
        ("^[hc]at", "hat"),
        ("[hc]at$", "a cat"),
        ("colou?r", "color"),
        ("a{3,5}", "aaa"),
        ("ba{,2}b", "bb"),
        ("a{2, 3}$", "aaa"),
        ("gra|ey", "grey"),
        ("^starting|^initializing|^shutting down", "shutting down now"),
        (r"10\.10\.0\.1", "at 10.10.0.1"),
        (r"\[.\]", "[7]"),
        (r"\x3A\x28", "a:(b"),
        ("timed out", "it timed out"),
    ],
)
def test_aws_s_examples(regex: str, text: str) -> None:
    assert compile_regex(regex)(text)


@pytest.mark.parametrize(
    ("regex", "why"),
    [
        ("(a+)+$", r"'\(' is not supported; \\x28 matches it, and there are no groups"),
        (r"\(a\)", r"'\\\(' is not supported"),
        ("(?:a)", "no groups"),
        ("(?=a)", "no groups"),
        (r"(a)\1", "no groups"),
        (r"a\1", "is not supported"),
        (r"\bword", "is not supported"),
        ("something!", "'!' is not supported"),
        ("é", "ASCII"),
        ("*a", "nothing to repeat"),
        ("a**", "nothing to repeat"),
        ("a++", "nothing to repeat"),
        ("^+", "nothing to repeat"),
        ("a^b", "'\\^' belongs at the beginning"),
        ("a$b", "'\\$' belongs at the end"),
        ("a{", "one or two numbers"),
        ("a{,}", "one or two numbers"),
        ("a{3,2}", "wrong order"),
        ("[z-a]", "wrong order"),
        ("[a", "ends too early"),
        ("[]a]", "a set of characters is empty"),
        ("a\\", "ends too early"),
        ("a]", "must be written"),
        (r"\xZZ", "two digits"),
        (r"\xFF", "ASCII"),
        ("a{99999999}", "too large"),
        ("a{1000}" * 3, "too large"),
    ],
)
def test_expressions_that_cloudwatch_refuses_are_refused_with_the_reason(regex: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^Invalid filter pattern: .*{why}"):
        compile_regex(regex)


@pytest.mark.parametrize(
    "regex",
    [
        "a*" * 30 + "b",
        ".*" * 30 + "b",
        "a?" * 400 + "a" * 400 + "b",
        "a{1,40}" * 40 + "b",
        "[ab]*a[ab]{60}c",
        "|".join(["a+a+b"] * 90),
    ],
)
def test_no_expression_takes_forever(regex: str) -> None:
    """A matcher that tries all ways would not end within the age of the universe."""
    assert not compile_regex(regex)("a" * 100_000)
    assert compile_regex(regex)("a" * 1000 + "abc" * 2 + "a" * 61 + "c")


@given(st.text("abé*+?{}[]()^$|\\.x12,-! ", max_size=12), st.text("ab1é ", max_size=5))
def test_anything_is_an_expression_or_refused(regex: str, text: str) -> None:
    try:
        compile_regex(regex)(text)
    except ValueError as error:
        assert str(error).startswith("Invalid filter pattern: ")
