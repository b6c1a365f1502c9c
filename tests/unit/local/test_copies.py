"""DynamoDB's items, copied by the engine."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rtp.local.patches.copies import copied

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()


@given(st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_a_copy_is_equal_and_shares_nothing_that_can_change(value: Any) -> None:
    def containers(part: Any) -> list[int]:
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        own = [id(part)] if isinstance(part, dict | list) else []
        return own + [found for one in inner for found in containers(one)]

    made = copied(value)

    assert made == value
    assert not set(containers(made)) & set(containers(value))


def test_what_is_not_json_keeps_its_kind() -> None:
    items = defaultdict(dict, {"a": {"b": {"S": "x"}}})

    made = copied({"items": items})["items"]

    assert (type(made), made, made["a"] is items["a"]) == (defaultdict, items, False)
