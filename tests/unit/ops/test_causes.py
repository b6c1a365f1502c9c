"""Which failures have the same cause."""

from __future__ import annotations

import pytest

from rtp.errors import UsageError
from rtp.ops import causes
from rtp.ops.causes import Cause
from rtp.runtime import groups
from rtp.runtime.groups import Place


def test_a_cause_stays_the_same_when_its_line_moves_and_its_message_varies() -> None:
    before = causes.group("order", Cause("KeyError", "customer bob is unknown", "processors.py:12 price"))
    after = causes.group("order", Cause("KeyError", "customer eve is unknown", "processors.py:40 price"))
    assert before == after and before.id == after.id


@pytest.mark.parametrize(
    "other",
    [
        ("refund", Cause("KeyError", "'a'", "processors.py:12 price")),
        ("order", Cause("ValueError", "'a'", "processors.py:12 price")),
        ("order", Cause("KeyError", "'a'", "processors.py:12 tax")),
        ("order", Cause("KeyError", "'a'", "tax.py:12 price")),
        ("order", Cause("KeyError", "'a'")),
    ],
)
def test_another_type_error_or_function_is_another_cause(other: tuple[str, Cause]) -> None:
    one = causes.group("order", Cause("KeyError", "'a'", "processors.py:12 price"))
    assert causes.group(*other).id != one.id


def test_without_a_line_the_error_without_its_values_is_the_cause() -> None:
    group = causes.group("order", Cause("OutOfTimeError", "no result in time; the function's timeout is 30 s"))
    assert group == causes.group("order", Cause("OutOfTimeError", "no result in time; the function's timeout is 5 s"))
    stored = causes.of({"type": "E", "message": "x 1", "signature": "E: other"})
    assert causes.group("order", stored).where == "E: other"


@pytest.mark.parametrize("error", [None, "text", [], {}, {"type": None, "message": 7, "at": {}}])
def test_an_error_of_another_shape_is_a_cause_all_the_same(error: object) -> None:
    assert causes.group("t", causes.of(error)).id


def test_a_line_of_the_project_is_read() -> None:
    assert groups.place("orders/price.py:12 <lambda>") == Place("orders/price.py", 12, "<lambda>")
    assert groups.place("orders/price.py") is None


def test_groups_are_in_the_order_of_their_size() -> None:
    items = [("a", 1), ("b", 2), ("a", 3)]
    found = causes.grouped(items, lambda item: causes.group(item[0], Cause("E", "m")))
    assert [(group.kind, same) for group, same in found] == [("a", [("a", 1), ("a", 3)]), ("b", [("b", 2)])]


@pytest.mark.parametrize("text", ["", "abc", "xyzq", "0123456789", "0123 4567"])
def test_what_is_no_group_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a group of failures"):
        causes.parsed(text)
