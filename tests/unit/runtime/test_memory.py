"""A batch of large events stays within the function's memory, and its parts are complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.runtime import attributes, portions, wire
from rtp.runtime.delivery import Delivery
from rtp.runtime.event import Event, Identity
from tests.unit.runtime.fakes import failures, message, world
from tests.unit.runtime.test_jsontext import values

HEAVY = '{"a":{"b":[1.5]}}'  # of all that was measured, the text that takes the most memory
COUNT = 13_500  # of it, close to 256 KiB
MB = 1_000_000

CHILD = f"""
import sys
from tests.unit.runtime.fakes import message, world

class Service:
    def __getattr__(self, name):
        return lambda **kw: {{"Responses": [{{}} for _ in kw.get("Statements", ())]}}

here = world(memory_mb=int(sys.argv[1]))
here.runtime.store._dynamodb._client = here.runtime.archive._s3._client = Service()  # which keep nothing
here.processor("t", lambda event: event.data)
value = "[" + ",".join(['{HEAVY}'] * {COUNT}) + "]"
head = '{{"id":"e%d","timestamp":1700000000000,"type":"t","data":{{"v":'
batch = [message(head % n + value + "}}}}", f"m{{n}}") for n in range(int(sys.argv[2]))]

def peak():
    (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1000

before = peak()
assert here.deliver(*batch, seconds=3000) == {{"batchItemFailures": []}}
print(peak() - before, file=sys.stderr)
"""


def delivery(body: str, **fields: Any) -> Delivery:
    return Delivery(body, "queue", Identity("e", 1), **fields)


def peak(memory_mb: int, events: int) -> int:
    """MB that a batch of events of 256 KiB takes, each of which has a result as large as itself."""
    run = [sys.executable, "-c", CHILD, str(memory_mb), str(events)]
    done = subprocess.run(run, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=300, check=True)
    return int(done.stderr.splitlines()[-1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of the memory there")
def test_large_events_of_many_small_objects_are_not_in_memory_together() -> None:
    assert peak(128, 4) < 40, "MB; a single event takes 21, four together 84"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of the memory there")
@pytest.mark.parametrize(("memory_mb", "most"), [(128, 40), (512, 300)])
def test_a_batch_of_ten_events_of_256_kib_leaves_room_in_the_function(memory_mb: int, most: int) -> None:
    assert peak(memory_mb, 10) < most, "MB; the function's modules and clients take 45 more"


def test_ten_events_of_any_content_are_one_portion_with_the_default_memory() -> None:
    contents = [HEAVY, "{}", "1.5", "1", '{"a":1,"b":2}', '{"number":1.5}']
    for content in contents:
        text = ",".join([content] * (wire.MAX_BODY_BYTES // (len(content) + 1)))
        assert len(list(portions.divide([delivery(text)] * 10, 512))) == 1, content
        assert len(list(portions.divide([delivery(text)] * 10, 128))) > 1, content


@given(st.lists(st.integers(0, 60_000), max_size=12), st.sampled_from([64, 65, 128, 512]))
def test_portions_have_all_deliveries_in_order(sizes: list[int], memory_mb: int) -> None:
    deliveries = [delivery("{}," * size, message_id=str(n)) for n, size in enumerate(sizes)]

    divided = list(portions.divide(deliveries, memory_mb))

    assert [one for portion in divided for one in portion] == deliveries
    allowed = (memory_mb - 64) * 0.6 * MB
    for portion in divided:
        assert len(portion) == 1 or sum(portions.weight(one.body) for one in portion) <= allowed


@given(values, st.integers(0, 300))
def test_a_value_is_converted_exactly_if_it_has_no_more_than_the_allowed_bytes(value: Any, allowed: int) -> None:
    try:
        size = attributes.size(attributes.pack(value))
    except attributes.NotNativeError:
        return
    if size <= allowed:
        assert attributes.pack(value, allowed) == attributes.pack(value)
    else:
        with pytest.raises(attributes.NotNativeError):
            attributes.pack(value, allowed)


def large(id: str, content: str = "{}") -> str:
    text = f'{{"id":"{id}","timestamp":5,"type":"t","data":{{"v":[%s]}}}}'
    return text % ",".join([content] * 60_000)


def test_every_portion_has_its_own_objects_and_records() -> None:
    here = world(memory_mb=128)
    here.processor("t", lambda event: {"length": len(event.data["v"])})

    answer = here.deliver(*(message(large(f"e{n}"), f"m{n}") for n in range(4)))

    assert failures(answer) == []
    for n in range(4):
        record = here.dynamo.record(f"e{n}")
        key, _, line = record["raw_key"].partition("#")
        assert here.s3.lines(key)[int(line)]["body"] == large(f"e{n}")
        assert (record["status"], record["result"]) == ("processed", {"length": 60_000})
    assert sorted(line["id"] for line in here.s3.lines("processed/")) == [f"e{n}" for n in range(4)]


def test_a_failure_in_one_portion_is_that_event_s_own() -> None:
    here = world(memory_mb=128)

    def fail_second(event: Event) -> Any:
        if event.id == "e1":
            raise RuntimeError("boom")

    here.processor("t", fail_second)

    assert failures(here.deliver(*(message(large(f"e{n}"), f"m{n}") for n in range(3)))) == ["m1"]
    assert [here.dynamo.record(f"e{n}")["status"] for n in range(3)] == ["processed", "failed", "processed"]


def test_what_would_begin_too_late_waits_for_its_next_delivery_unless_it_has_none() -> None:
    # Given a function whose time is nearly over when the first portion is processed
    here = world(memory_mb=128, max_receive_count=3)
    here.processor("t", lambda _: None)

    answer = here.deliver(
        message(large("last"), "m0", receives=3),
        message(large("late"), "m1"),
        message(large("last2"), "m2", receives=3),
        seconds=0.45,
    )

    # Then what has no later delivery is processed as far as the time allows, and the other is not an attempt
    assert "m1" in failures(answer)
    assert {record["id"] for record in here.dynamo.records()} == {"last", "last2"}
