"""The faults of `rtp drill`, and who may send its events."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.runtime import Event, api, wire
from rtp.runtime.event import EmitError
from rtp.runtime.registry import Processor, ProcessorError, Registry
from rtp.runtime.testing import run
from tests.unit.runtime.fakes import Context, World, failures, message, world

RUN = "run-1"


def drill(fault: str, id: str = "e1", *, receives: int = 1, attribute: str = RUN, **data: Any) -> dict[str, Any]:
    body = {"id": id, "timestamp": 5, "type": wire.DRILL, "data": {"run": RUN, "fault": fault, **data}}
    return message(body, f"m-{id}", receives=receives, **({wire.DRILL_RUN: attribute} if attribute else {}))


def status(here: World, id: str = "e1") -> tuple[str, int]:
    record = here.dynamo.record(id)
    return record["status"], record["attempt_count"]


def test_poison_fails_until_the_event_is_dead() -> None:
    here = world(max_receive_count=2)

    first, second = (failures(here.deliver(drill("poison", receives=n))) for n in (1, 2))

    assert first == second == ["m-e1"]
    assert status(here) == ("dead", 2)
    assert here.dynamo.record("e1")["error"]["type"] == "DrillError"


def test_a_throttled_dependency_fails_the_first_attempt_alone() -> None:
    here = world()

    assert failures(here.deliver(drill("throttle"))) == ["m-e1"]
    assert failures(here.deliver(drill("throttle", receives=2))) == []

    assert status(here) == ("processed", 2)
    assert here.dynamo.record("e1")["attempts"][0]["error"]["type"] == "ThrottledDependencyError"


@pytest.mark.parametrize("fault", ["flood", "duplicate", "slow"])
def test_other_faults_are_processed_once_however_often_they_are_delivered(fault: str) -> None:
    here = world()

    here.deliver(drill(fault, seconds=0))
    here.deliver(drill(fault, seconds=0))

    assert status(here) == ("processed", 1)


def test_what_is_slow_takes_the_time_that_its_event_says() -> None:
    here = world()

    answer = here.deliver(drill("slow", "long", seconds=3), drill("slow", "short", seconds=0), seconds=1.2)

    assert failures(answer) == ["m-long"]
    assert here.dynamo.record("long")["error"]["type"] == "OutOfTimeError"
    assert status(here, "short") == ("processed", 1)


def test_what_blocks_the_event_loop_fails_alone_and_succeeds_in_its_next_attempt() -> None:
    here = world()

    answer = here.deliver(*(drill("blocked", f"e{n}", blocks=n == 0) for n in range(10)), seconds=2.0)

    assert failures(answer) == ["m-e0"]
    assert here.dynamo.record("e0")["error"]["type"] == "BlockedLoopError"
    assert {status(here, f"e{n}") for n in range(1, 10)} == {("processed", 1)}
    assert failures(here.deliver(drill("blocked", "e0", receives=2, blocks=True))) == []
    assert status(here, "e0") == ("processed", 2)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (drill("poison", attribute=""), "reserved for `rtp drill`"),
        (drill("poison", attribute="run-2"), "not the drill that sent the message"),
        (drill("unknown"), "must be one of poison"),
        (drill("slow", seconds=901), "from 0 to 900"),
        (drill("slow", seconds="1"), "from 0 to 900"),
        (drill("slow", seconds=True), "from 0 to 900"),
    ],
    ids=["nobody's", "another's", "unknown fault", "too long", "text", "boolean"],
)
def test_a_message_that_no_drill_sent_is_refused_without_an_attempt_of_its_fault(
    sent: dict[str, Any], why: str
) -> None:
    here = world()

    assert failures(here.deliver(sent)) == []

    assert status(here) == ("dead", 1)
    error = here.dynamo.record("e1")["error"]
    assert error["type"] == "InvalidEvent" and why in error["message"]
    assert len(here.dead_lettered()) == 1


def test_the_api_refuses_the_type_and_keeps_nothing() -> None:
    here = world()
    request = {
        "httpMethod": "POST",
        "headers": {"content-type": "application/json"},
        "body": '{"type":"rtp.drill","data":{"run":"run-1","fault":"poison"}}',
        "requestContext": {"requestId": "request-1", "requestTimeEpoch": 5},
    }

    answer = api.answer(here.runtime, request, Context())

    assert answer["statusCode"] == 400 and "reserved for `rtp drill`" in answer["body"]
    assert here.dynamo.records() == [] and here.dead_lettered() == []


def test_an_asynchronous_invocation_with_the_type_is_dead() -> None:
    here = world()

    api.invoke(here.runtime, {"id": "e1", "timestamp": 5, "type": "rtp.drill", "data": {"fault": "flood"}}, Context())

    assert here.dynamo.record("e1")["error"]["type"] == "InvalidEvent"


def test_a_drill_fails_where_the_processors_cannot_be_loaded() -> None:
    here = world()
    here.runtime.registry.failure = ProcessorError("processors cannot be imported")

    assert failures(here.deliver(drill("flood"))) == ["m-e1"]
    assert here.dynamo.record("e1")["error"]["type"] == "ProcessorError"


def test_a_project_neither_processes_the_type_nor_emits_it() -> None:
    def mine(_: Event) -> None:
        """Never called."""

    with pytest.raises(ProcessorError, match=r"test_drill\.py:\d+: the event type 'rtp\.drill' is reserved"):
        Registry().add(Processor("rtp.drill", mine))
    with pytest.raises(EmitError, match="reserved"):
        Event(type="t", data={}, id="e1").emit("rtp.drill", {"run": RUN, "fault": "poison"})
    assert run("rtp.drill", {"fault": "poison"}).outcome == "invalid"


def test_the_message_in_the_dead_letter_queue_still_names_its_drill() -> None:
    here = world()

    here.deliver(drill("slow", seconds=901))

    (sent,) = here.dead_lettered()
    assert sent["MessageAttributes"][wire.DRILL_RUN]["StringValue"] == RUN
