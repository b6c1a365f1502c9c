"""Rare combinations of deliveries, kills and outages that could lose an event or leave a wrong record."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rtp.runtime import Event, Reject, outcomes
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import Context, failures, message, world


def fails(_: str, __: dict[str, Any]) -> None:
    raise fakes.error("ServiceUnavailable")


def killed_while_processing(here: fakes.World, *deliveries: dict[str, Any], seconds: float = 30) -> None:
    """Deliver messages to a function that is killed after it has written the claim."""
    writes: list[str] = []

    def fault(name: str, _: dict[str, Any]) -> None:
        if name in ("update_item", "batch_execute_statement", "put_item"):
            writes.append(name)
            if len(writes) > 1:
                raise fakes.error("ServiceUnavailable")

    here.dynamo.fault = fault
    here.deliver(*deliveries, seconds=seconds)
    here.dynamo.fault = None


def test_a_duplicate_in_the_batch_does_not_delete_the_message_that_covers_both() -> None:
    # Given m1, whose delivery was killed and whose lease still runs
    here = world()
    here.processor("t", lambda _: {"ok": True})
    killed_while_processing(here, message(fakes.event(), "m1"))

    # When m1 is delivered again, in a batch after another message of the same event
    answer = here.deliver(message(fakes.event(), "m2"), message(fakes.event(), "m1", receives=2))

    # Then m1 is not deleted as a duplicate of m2: no other message has the event
    assert failures(answer) == ["m1"]


def test_a_message_is_not_covered_by_one_after_its_last_attempt() -> None:
    # Given m1, killed in its last attempt: SQS moves it to the dead-letter queue, and a redrive sends it as m2
    here = world(max_receive_count=3)
    here.processor("t", lambda _: {"ok": True})
    killed_while_processing(here, message(fakes.event(), "m1", receives=3))

    # When m2 is delivered while m1's lease runs
    answer = here.deliver(message(fakes.event(), "m2", rtp_source="redrive"))

    # Then m2 is delivered again, because m1 does not exist any more
    assert failures(answer) == ["m2"]
    here.time[0] += 31
    assert failures(here.deliver(message(fakes.event(), "m2", receives=2))) == []
    assert here.dynamo.record("e1")["status"] == "processed"


def test_a_message_is_not_covered_by_one_from_before_a_request() -> None:
    # Given m1, which was rejected and deleted, and afterwards a running request for the same event
    from rtp.runtime import api

    here = world()
    inner: list[dict[str, Any]] = []

    def process(event: Event) -> dict[str, Any]:
        if event.source == "queue":
            raise Reject("not like this")
        inner.append(here.deliver(message(fakes.event(), "m2")))
        return {"ok": True}

    here.processor("t", process)
    here.deliver(message(fakes.event(), "m1"))

    # When another message of the event is delivered meanwhile
    request = {"body": message(fakes.event())["body"], "headers": {"content-type": "application/json"}}
    api.answer(here.runtime, request, Context())

    # Then that message is delivered again: the request has no message that could cover both
    assert failures(inner[0]) == ["m2"]


def test_an_event_is_not_ended_by_an_invalid_message_with_its_identity() -> None:
    # Given an invalid message with an event's identity, and the event itself, in one batch
    here = world()
    here.processor("t", lambda _: {"ok": True})
    invalid = '{"id":"e1","timestamp":1700000000000,"type":"t","data":{"x":NaN}}'

    # When both are delivered
    answer = here.deliver(message(invalid, "invalid"), message(fakes.event(), "valid"))

    # Then the invalid one moves to the DLQ, and the valid one supersedes its dead record
    assert failures(answer) == []
    assert len(here.dead_lettered()) == 1
    assert here.dynamo.record("e1")["status"] == "processed"


def test_a_successful_last_attempt_leaves_no_error_on_the_record() -> None:
    # Given events whose first attempts never reached the table, and whose last one does
    here = world(max_receive_count=3)
    here.processor("t", lambda _: {"ok": True})

    answer = here.deliver(*(message(fakes.event(f"e{n}"), f"m{n}", receives=3) for n in range(3)))

    assert failures(answer) == []
    for record in here.dynamo.records():
        assert record["status"] == "processed"
        assert "error" not in record


def test_a_last_attempt_without_an_archive_leaves_a_dead_record_with_the_reason() -> None:
    # Given an outage of S3 during every attempt
    here = world(max_receive_count=3)
    here.processor("t", lambda _: {"ok": True})
    here.s3.fault = fails

    # When the last attempt runs, in a batch with a first attempt of another event
    answer = here.deliver(
        message(fakes.event("last"), "m1", receives=3), message(fakes.event("first"), "m2", receives=1)
    )

    # Then SQS moves the first to the dead-letter queue, and its record is dead; the other is delivered again
    assert sorted(failures(answer)) == ["m1", "m2"]
    record = here.dynamo.record("last")
    assert (record["status"], record["error"]["type"]) == ("dead", "ServiceError")
    assert record["attempts"][-1]["outcome"] == "failed"
    assert [r["id"] for r in here.dynamo.records()] == ["last"]


def test_a_killed_last_asynchronous_attempt_leaves_a_dead_record() -> None:
    # Given an asynchronous invocation that failed twice
    from rtp.runtime import api

    here = world()
    context = Context()

    def attempt(event: Event) -> None:
        if event.attempt == 3:
            statuses.append(here.dynamo.record("e1")["status"])
        raise RuntimeError("boom")

    statuses: list[str] = []
    here.processor("t", attempt)
    for _ in range(3):
        try:
            api.invoke(here.runtime, fakes.event(), context)
        except api.AsynchronousFailureError:
            continue

    # Then the record is already dead during its third attempt, in case the function is killed
    assert statuses == ["dead"]
    assert here.dynamo.record("e1")["error"]["type"] == "RuntimeError"


@pytest.mark.parametrize(
    ("by", "message_id", "absorbed"),
    [("m1", "m2", True), ("m1", "m1", False), ("m1", "", False), ("", "m1", False), ("", "", False)],
)
def test_only_another_message_of_the_event_stands_for_a_delivery(by: str, message_id: str, absorbed: bool) -> None:
    """A request has no message that could be left out, and a delivery of the same message is repeated."""
    assert outcomes.busy(5, by, message_id) == outcomes.Busy(5, by, is_absorbed=absorbed)
    assert outcomes.busy(5, by, message_id).is_done is absorbed


@pytest.mark.parametrize("attempts", [3, 5])
def test_an_event_that_kills_the_function_costs_its_neighbours_one_attempt(attempts: int) -> None:
    # Given a batch in which one event kills the function whenever it runs
    here = world(max_receive_count=attempts, batch_concurrency=1)
    runs: list[str] = []

    def run(event: Event) -> dict[str, Any]:
        runs.append(event.id)
        if event.id == "e5":
            here.dynamo.fault = here.s3.fault = here.sqs.fault = fails  # a dead process writes nothing more
        return {"ok": True}

    here.processor("t", run)
    waiting = [f"e{n}" for n in range(10)]

    # When all of it is delivered until it is done or dead
    for receives in range(1, attempts + 1):
        runs.clear()
        answer = here.deliver(*(message(fakes.event(i), f"m{i}", receives=receives) for i in waiting))
        here.dynamo.fault = here.s3.fault = here.sqs.fault = None
        here.time[0] += 200
        waiting = [i for i in waiting if f"m{i}" in failures(answer)] if receives < attempts else []
        if receives == 1:
            assert runs == [f"e{n}" for n in range(10)]  # nobody knows yet which one it is
        if receives >= 4:
            assert runs == ["e5"]

    # Then the others are processed, each at its own attempt after the one that was killed
    records = {record["id"]: record for record in here.dynamo.records()}
    assert {i: r["status"] for i, r in records.items() if i != "e5"} == {
        f"e{n}": "processed" for n in range(10) if n != 5
    }
    assert {r["attempt_count"] for i, r in records.items() if i != "e5"} == {2}
    assert (records["e5"]["status"], records["e5"]["error"]["type"]) == ("dead", "Interrupted")


def test_a_killer_in_its_last_delivery_leaves_dead_records_of_those_that_have_none_after_it_either() -> None:
    here = world(max_receive_count=2, batch_concurrency=1)

    def run(_: Event) -> None:
        here.dynamo.fault = here.s3.fault = here.sqs.fault = fails

    here.processor("t", run)
    batch = [message(fakes.event(f"e{n}"), f"m{n}") for n in range(3)]
    here.deliver(*batch)
    here.dynamo.fault = here.s3.fault = here.sqs.fault = None
    here.time[0] += 200

    here.deliver(*(message(fakes.event(f"e{n}"), f"m{n}", receives=2) for n in range(3)))

    assert {record["status"] for record in here.dynamo.records()} == {"dead"}


def test_an_interrupted_event_for_which_no_time_is_left_is_delivered_again() -> None:
    here = world()
    here.processor("t", lambda event: time.sleep(0.5 if event.id == "slow" else 0))
    killed_while_processing(here, message(fakes.event("a"), "a"), message(fakes.event("b"), "b"))
    here.time[0] += 60

    answer = here.deliver(
        message(fakes.event("a"), "a", receives=2),
        message(fakes.event("b"), "b", receives=2),
        message(fakes.event("slow"), "slow"),
        seconds=0.9,
    )

    assert sorted(failures(answer)) == ["a", "b"] or sorted(failures(answer)) == ["a", "b", "slow"]
    assert {here.dynamo.record(i)["attempt_count"] for i in "ab"} == {1}
