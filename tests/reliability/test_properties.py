"""The runtime on services in memory: any batch, any order of deliveries, any clock (C7, C14, C24)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtp.runtime import Event, jsontext
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import failures, message, world
from tests.unit.runtime.test_jsontext import values
from tests.unit.runtime.test_worker import BATCHES, check_batch_response

many = settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
few = settings(max_examples=100, deadline=None)

DAY = 86_400


@pytest.mark.reliability
@many
@given(*BATCHES)
def test_the_shape_of_every_batch_response(batch: list[tuple[str, int, int]], failing_call: str, nth: int) -> None:
    """C7."""
    check_batch_response(batch, failing_call, nth)


def check_stored_equal(batch: list[Any]) -> None:
    here = world()
    here.processor("t", lambda event: event.data)
    bodies = [
        '{"id":"e' + str(n) + '","timestamp":5,"type":"t","data":{"x":' + jsontext.dumps(value) + "}}"
        for n, value in enumerate(batch)
    ]

    answer = here.deliver(*(message(body) for body in bodies), message('{"type":"t","data":{"x":NaN}}', "bad"))

    assert failures(answer) == []
    for n, value in enumerate(batch):
        record = here.dynamo.record(f"e{n}")
        for name in ("data", "result"):
            stored = record[name] if name in record else jsontext.loads(here.s3.objects[record[f"{name}_key"]])
            assert stored == {"x": value}
    assert here.dynamo.record("bad")["status"] == "dead"


@few
@given(st.lists(values, max_size=5))
def test_any_value_is_stored_equal(batch: list[Any]) -> None:
    """C14."""
    check_stored_equal(batch)


@pytest.mark.reliability
@many
@given(st.lists(values, max_size=5))
def test_any_of_many_values_is_stored_equal(batch: list[Any]) -> None:
    """C14."""
    check_stored_equal(batch)


steps = st.lists(
    st.tuples(
        st.sampled_from(["e1", "e2"]),
        st.integers(1, 4),  # message
        st.sampled_from([0, 1, 5, 40, -DAY, DAY]),  # seconds by which the clock moves before the delivery
        st.sampled_from(["fine", "fails", "killed after the claim", "killed before it"]),
    ),
    max_size=12,
)


def check_one_record_each(deliveries: list[tuple[str, int, int, str]]) -> None:
    here = world()
    ends: dict[str, list[str]] = {}

    def process(event: Event) -> dict[str, Any]:
        if doing[0] == "fails":
            raise ValueError("no")
        ends.setdefault(event.id, []).append("ran")
        return {"run": len(ends[event.id])}

    doing = [""]
    here.processor("t", process)
    done: set[str] = set()
    for id, number, moved, what in deliveries:
        here.time[0] += moved
        doing[0] = what
        here.dynamo.fault = _killed(what)
        answer = here.deliver(message(fakes.event(id), f"m{number}"), seconds=20)
        before = id in done
        if not failures(answer) and what in ("fine", "fails"):
            done |= {record["id"] for record in here.dynamo.records() if record["status"] == "processed"}
        if before:
            assert failures(answer) == [] or what == "killed before it"

    for record in here.dynamo.records():
        assert len(record["attempts"]) <= record["attempt_count"] if "attempts" in record else True
        assert all(a.get("duration_ms", 0) >= 0 for a in record.get("attempts", []))
        if record["status"] == "processed":
            finished = [a for a in record["attempts"] if a["outcome"] == "processed"]
            assert len(finished) == 1  # for any number of deliveries and any clock
    assert len({(r["id"], r["timestamp"]) for r in here.dynamo.records()}) == len(here.dynamo.records())
    for line in here.s3.lines("processed/"):
        assert json.dumps(line)


@few
@given(steps)
def test_one_record_per_event_for_any_order_of_deliveries_and_any_clock(
    deliveries: list[tuple[str, int, int, str]],
) -> None:
    """C24."""
    check_one_record_each(deliveries)


@pytest.mark.reliability
@many
@given(steps)
def test_one_record_per_event_for_many_orders(deliveries: list[tuple[str, int, int, str]]) -> None:
    """C24."""
    check_one_record_each(deliveries)


def _killed(what: str) -> fakes.Fault | None:
    """Return a fault that fails every write from the first, or after the claim."""
    if not what.startswith("killed"):
        return None
    survives = 1 if what == "killed after the claim" else 0
    count = [0]

    def fault(name: str, _: dict[str, Any]) -> None:
        if name in ("update_item", "put_item", "batch_execute_statement"):
            count[0] += 1
            if count[0] > survives:
                raise fakes.error("ServiceUnavailable")

    return fault
