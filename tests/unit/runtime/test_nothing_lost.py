"""Rare meetings of deliveries, kills and outages, each of which could cost an event or leave a wrong record."""

from __future__ import annotations

from typing import Any

from rtp.runtime import Event, Reject
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import Context, failures, message, world


def fails(_: str, __: dict[str, Any]) -> None:
    raise fakes.error("ServiceUnavailable")


def killed_while_processing(here: fakes.World, *deliveries: dict[str, Any], seconds: float = 30) -> None:
    """The claim is written; the function ends before anything else is."""
    writes: list[str] = []

    def fault(name: str, _: dict[str, Any]) -> None:
        if name in ("update_item", "batch_execute_statement", "put_item"):
            writes.append(name)
            if len(writes) > 1:
                raise fakes.error("ServiceUnavailable")

    here.dynamo.fault = fault
    here.deliver(*deliveries, seconds=seconds)
    here.dynamo.fault = None


def test_a_twin_in_the_batch_does_not_end_the_message_that_stands_for_both() -> None:
    # Given m1, whose delivery was killed and whose lease still runs
    here = world()
    here.processor("t", lambda _: {"ok": True})
    killed_while_processing(here, message(fakes.event(), "m1"))

    # When it comes again behind another message of the same event, which is left to it
    answer = here.deliver(message(fakes.event(), "m2"), message(fakes.event(), "m1", receives=2))

    # Then it is not taken for that message's twin and deleted: nobody else has the event
    assert failures(answer) == ["m1"]


def test_a_message_is_not_left_to_one_that_had_its_last_attempt() -> None:
    # Given m1, killed in its last attempt: SQS moves it to the dead-letter queue, and a redrive sends it as m2
    here = world(max_receive_count=3)
    here.processor("t", lambda _: {"ok": True})
    killed_while_processing(here, message(fakes.event(), "m1", receives=3))

    # When m2 comes while m1's lease runs
    answer = here.deliver(message(fakes.event(), "m2", rtp_source="redrive"))

    # Then it comes again, for m1 does not exist any more
    assert failures(answer) == ["m2"]
    here.time[0] += 31
    assert failures(here.deliver(message(fakes.event(), "m2", receives=2))) == []
    assert here.dynamo.record("e1")["status"] == "processed"


def test_a_message_is_not_left_to_one_from_before_a_request() -> None:
    # Given m1, which was rejected and deleted, and after it a request for the same event, under way
    from rtp.runtime import api

    here = world()
    inner: list[dict[str, Any]] = []

    def work(event: Event) -> dict[str, Any]:
        if event.source == "queue":
            raise Reject("not like this")
        inner.append(here.deliver(message(fakes.event(), "m2")))
        return {"ok": True}

    here.processor("t", work)
    here.deliver(message(fakes.event(), "m1"))

    # When another message of the event comes meanwhile
    request = {"body": message(fakes.event())["body"], "headers": {"content-type": "application/json"}}
    api.answer(here.runtime, request, Context())

    # Then it waits: the request has no message that could stand for both
    assert failures(inner[0]) == ["m2"]


def test_an_event_is_not_ended_by_a_text_that_only_claims_to_be_it() -> None:
    # Given a message that is no event but names an identity, and the event itself, in one batch
    here = world()
    here.processor("t", lambda _: {"ok": True})
    wrong = '{"id":"e1","timestamp":1700000000000,"type":"t","data":{"x":NaN}}'

    # When both come
    answer = here.deliver(message(wrong, "wrong"), message(fakes.event(), "right"))

    # Then the wrong one goes to the DLQ, and the right one is delivered again and processed
    assert failures(answer) == ["right"]
    assert len(here.dead_lettered()) == 1
    here.deliver(message(fakes.event(), "right", receives=2))
    assert here.dynamo.record("e1")["status"] == "processed"


def test_a_last_attempt_that_succeeds_leaves_no_trace_of_the_death_it_was_claimed_with() -> None:
    # Given events whose first attempts never reached the table, and whose last one does
    here = world(max_receive_count=3)
    here.processor("t", lambda _: {"ok": True})

    answer = here.deliver(*(message(fakes.event(f"e{n}"), f"m{n}", receives=3) for n in range(3)))

    assert failures(answer) == []
    for record in here.dynamo.records():
        assert record["status"] == "processed"
        assert "error" not in record


def test_a_last_attempt_without_an_archive_still_leaves_a_dead_record_with_the_reason() -> None:
    # Given an outage of S3 that lasts through every attempt
    here = world(max_receive_count=3)
    here.processor("t", lambda _: {"ok": True})
    here.s3.fault = fails

    # When the last one comes, with a first attempt of another event beside it
    answer = here.deliver(
        message(fakes.event("last"), "m1", receives=3), message(fakes.event("first"), "m2", receives=1)
    )

    # Then SQS moves the one to the dead-letter queue, and its record says so; the other one may come again
    assert sorted(failures(answer)) == ["m1", "m2"]
    record = here.dynamo.record("last")
    assert (record["status"], record["error"]["type"]) == ("dead", "ServiceError")
    assert record["attempts"][-1]["outcome"] == "failed"
    assert [r["id"] for r in here.dynamo.records()] == ["last"]


def test_a_last_asynchronous_attempt_that_is_killed_leaves_a_record_that_says_so() -> None:
    # Given an asynchronous call that failed twice
    from rtp.runtime import api

    here = world()
    context = Context()

    def attempt(event: Event) -> None:
        if event.attempt == 3:
            seen.append(here.dynamo.record("e1")["status"])
        raise RuntimeError("boom")

    seen: list[str] = []
    here.processor("t", attempt)
    for _ in range(3):
        try:
            api.invoke(here.runtime, fakes.event(), context)
        except api.AsynchronousFailureError:
            continue

    # Then its third attempt runs under a record that is right even if the function is killed now
    assert seen == ["dead"]
    assert here.dynamo.record("e1")["error"]["type"] == "RuntimeError"
