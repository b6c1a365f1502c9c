"""What dead events have that the processed ones of their type have not."""

from __future__ import annotations

import json
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest

from rtp.ops.causes import Cause
from rtp.ops.triage.compare import SAMPLE, Trait, compare, read
from rtp.ops.triage.failures import Failure
from tests.unit.ops.fakes import OUTPUTS
from tests.unit.ops.test_rehearse_absent import Index

EUR = [{"currency": "EUR", "total": n, "id": f"o{n}"} for n in range(50)]
JPY = [{"currency": "JPY", "total": n, "id": f"x{n}"} for n in range(50)]


def test_a_value_that_the_dead_have_is_named_with_both_shares() -> None:
    found = compare([*JPY[:49], EUR[0]], [*EUR[:49], JPY[0]])
    assert found.traits == [Trait("data.currency", '"JPY"', 0.98, 0.02)]
    assert (found.dead, found.processed) == (50, 50)


def test_fields_of_which_each_event_has_another_value_are_skipped() -> None:
    found = compare(JPY, EUR)
    assert [trait.field for trait in found.traits] == ["data.currency"]
    assert found.unique == ["data.id"]


@pytest.mark.parametrize(
    ("dead", "processed", "trait"),
    [
        ([{"a": "1"}], [{"a": 1}], Trait("data.a", '"1"', 1.0, 0.0)),
        ([{"a": None}, {"a": 1}], [{"a": 1}, {"a": 1}], Trait("data.a", "null", 0.5, 0.0)),
        ([{"b": 1}], [{"a": 1, "b": 1}], Trait("data.a", "missing", 1.0, 0.0)),
        ([{"a": {"b": [1, 2]}}], [{"a": {"b": [1]}}], Trait("data.a.b[]", "2", 1.0, 0.0)),
        ([{"a": True}], [{"a": False}], Trait("data.a", "true", 1.0, 0.0)),
    ],
)
def test_each_kind_of_difference_is_found(dead: Any, processed: Any, trait: Trait) -> None:
    assert trait in compare(dead, processed).traits


def test_numbers_that_differ_each_time_still_have_their_sign() -> None:
    dead = [{"total": Decimal(-n) / 7} for n in range(1, 41)]
    processed = [{"total": Decimal(n) / 7} for n in range(1, 41)]
    assert compare(dead, processed).traits == [Trait("data.total", "negative", 1.0, 0.0)]


def test_what_follows_from_another_difference_is_not_repeated() -> None:
    dead = [{"customer": {"address": {"zip": "1", "city": "x"}}}]
    assert [trait.field for trait in compare(dead, [{}]).traits] == ["data.customer"]


def test_without_a_difference_there_are_no_traits() -> None:
    assert compare(EUR, EUR).traits == []
    assert compare([], []).traits == []
    assert compare([None, "text", [1]], []).dead == 3


HUGE = {
    "a long list": list(range(60_000)),
    "lists in lists": [[[[n] * 20 for n in range(20)] for _ in range(20)] for _ in range(20)],
    "many members": {f"m{n}": n for n in range(20_000)},
    "long names": {f"{n}{'x' * 20_000}": {"y" * 20_000: n} for n in range(10)},
    "a long text": "x" * 200_000,
    "deep": json.loads('{"a":' * 200 + "1" + "}" * 200),
}


@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)
def test_of_a_large_event_a_part_is_compared(data: object) -> None:
    tracemalloc.start()
    try:
        found = compare([{"bad": True, "data": data}] * 3, [{"bad": False, "data": data}] * 3)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert found.traits[0].field == "data.bad"


def test_of_many_events_the_newest_of_each_side_are_compared_and_their_numbers_said() -> None:
    aws, count = Index(), SAMPLE + 50
    for n in range(1, count + 1):
        aws.record(f"d{n}", n, status="dead", type="order", data={"is_old": n <= 50, "currency": "JPY"})
        aws.record(f"p{n}", n, status="processed", type="order", data={"is_old": n <= 50, "currency": "EUR"})
        aws.record(f"o{n}", 9_000 + n, status="processed", type="other", data={"currency": "JPY"})
    cause = Cause("KeyError", "'JPY'")
    same = [Failure(f"d{n}", n, "order", "dead", cause, n, n, ("r1",)) for n in range(count, 0, -1)]
    found = read(aws, OUTPUTS, same, "order", shards=1, now=10_000)
    assert (found.dead, found.processed) == (SAMPLE, SAMPLE)
    assert found.traits == [Trait("data.currency", '"JPY"', 1.0, 0.0)]
