"""The cursor that the parsers share."""

from __future__ import annotations

import re

import pytest

from rtp.local.cursor import MAX_DEPTH, Cursor

TOKENS = re.compile(r"\s*(?:(?P<word>[a-z]+)|(?P<op>[(),]))")


def cursor(text: str) -> Cursor:
    return Cursor(text, TOKENS, ValueError)


def test_tokens_are_read_one_by_one() -> None:
    reader = cursor(" a (b,c ) ")
    assert [token.text for token in reader.rest()] == ["a", "(", "b", ",", "c", ")"]
    assert reader.next()[:2] == ("word", "a")
    assert not reader.take(")")
    assert reader.take("(")
    assert reader.joined(lambda: reader.next().text, ",") == ["b", "c"]
    assert reader.peek() == ("op", ")", 9)
    reader.expect(")")
    reader.end()


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a ~ b", r"unexpected '~ b'"), ("a", "it ends too early"), ("a b", r"'\(' was expected, not 'b'")],
)
def test_what_does_not_fit_is_an_error(text: str, reason: str) -> None:
    reader = cursor(text)
    reader.next()
    with pytest.raises(ValueError, match=reason):
        reader.expect("(")


def test_what_follows_the_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="unexpected 'a'"):
        cursor("a").end()


def test_nesting_has_a_limit() -> None:
    reader = cursor("")

    def deeper(levels: int) -> None:
        with reader.nested():
            if levels > 1:
                deeper(levels - 1)

    deeper(MAX_DEPTH)
    with pytest.raises(ValueError, match="nested too deeply"):
        deeper(MAX_DEPTH + 1)
