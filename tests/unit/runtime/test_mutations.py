"""A processor that changes what it was given, or returns what cannot be stored, harms no other event of its batch."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import Event, api
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import Context, failures, message, world

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclasses.dataclass
class Order:
    lines: list[Any]
    note: Any = None


def put_a_set(event: Event) -> Any:
    event.data["nested"]["x"] = {1, 2}


def put_nan(event: Event) -> Any:
    event.data["nested"]["x"] = float("nan")


def replace_the_data(event: Event) -> Any:
    event.data = object()  # type: ignore[assignment]


def change_the_identity(event: Event) -> Any:
    event.id, event.timestamp, event.type = "another", 5, "other"


def delete_everything(event: Event) -> Any:
    event.data.clear()
    return event.data


def make_a_cycle(event: Event) -> Any:
    event.data["nested"]["self"] = event.data


@pytest.mark.parametrize(
    "mutate", [put_a_set, put_nan, replace_the_data, change_the_identity, delete_everything, make_a_cycle]
)
def test_what_came_in_is_stored_archived_and_answered(mutate: Callable[[Event], Any]) -> None:
    here = world()
    here.processor("t", mutate)
    here.processor("good", lambda event: {"n": event.data["n"]})
    data: dict[str, Any] = {"nested": {"x": 1}, "list": [{"y": 1}]}

    answer = here.deliver(
        message(fakes.event("bad", **data), "m1"), *(message(fakes.event(f"g{n}", "good", n=n)) for n in range(3))
    )

    assert failures(answer) == []
    record = here.dynamo.record("bad")
    assert (record["status"], record["data"], record["timestamp"]) == ("processed", data, 1_700_000_000_000)
    assert {record["status"] for record in here.dynamo.records()} == {"processed"}
    (line,) = [line for line in here.s3.lines("processed/") if line["id"] == "bad"]
    assert (line["data"], line["type"]) == (data, "t")


def test_a_model_that_keeps_parts_of_the_data_may_be_changed() -> None:
    here = world()

    def change(event: Event[Order]) -> None:
        event.data.lines.append(float("nan"))
        event.data.note["x"] = {1}

    here.processor("t", change, data=Order)

    here.deliver(message(fakes.event("e1", lines=[1], note={"a": 1})), message(fakes.event("e2", "other")))

    assert here.dynamo.record("e1")["data"] == {"lines": [1], "note": {"a": 1}}
    assert {record["status"] for record in here.dynamo.records()} == {"processed"}


@pytest.mark.parametrize(
    ("result", "path"),
    [
        ({"a": [1, {2}]}, "$.a[1]: set is not JSON"),
        ({"a": {"b": float("inf")}}, "$.a.b: NaN and infinity"),
        ({"big": int("1" * 40)}, "$.big: the number has"),
    ],
)
def test_a_result_that_cannot_be_stored_is_the_events_own_failure_with_the_path(result: Any, path: str) -> None:
    here = world()
    here.processor("t", lambda event: result if event.id == "bad" else {"fine": True})

    answer = here.deliver(message(fakes.event("bad"), "m1"), message(fakes.event("good"), "m2"))

    assert failures(answer) == ["m1"]
    record = here.dynamo.record("bad")
    assert (record["status"], record["error"]["message"].startswith(path)) == ("failed", True)
    assert here.dynamo.record("good")["attempts"][0]["outcome"] == "processed"


def test_an_emitted_event_is_what_it_was_when_it_was_emitted() -> None:
    here = world()

    def emit(event: Event) -> Any:
        event.emit("next", event.data)
        event.data["x"] = {1}
        event.emitted[0].data["x"] = float("nan")
        return event.data.pop("y")

    here.processor("t", emit)

    answer = here.deliver(message(fakes.event("e1", x=1, y={"z": 2})), message(fakes.event("e2", "other")))

    assert failures(answer) == []
    (sent,) = here.sqs.of("send_message_batch")
    assert json.loads(sent["Entries"][0]["MessageBody"])["data"] == {"x": 1, "y": {"z": 2}}
    assert here.dynamo.record("e1")["result"] == {"z": 2}


def test_what_is_put_among_the_emitted_events_by_hand_is_the_events_own_failure() -> None:
    here = world()

    def emit(event: Event) -> None:
        event.emitted.append({"type": "x"})  # type: ignore[arg-type]

    here.processor("t", emit)

    answer = here.deliver(message(fakes.event("e1"), "m1"), message(fakes.event("e2", "other"), "m2"))

    assert failures(answer) == ["m1"]
    assert here.dynamo.record("e1")["error"]["message"] == "event.emitted has dict; use event.emit(type, data)"


def test_an_object_that_two_events_share_is_stored_as_each_returned_it() -> None:
    here = world(batch_concurrency=1)
    shared: dict[str, Any] = {"ids": []}

    def add(event: Event) -> Any:
        shared["ids"].append(event.id)
        return shared

    here.processor("t", add)

    here.deliver(message(fakes.event("a")), message(fakes.event("b")))

    assert [here.dynamo.record(i)["result"] for i in ("a", "b")] == [{"ids": ["a"]}, {"ids": ["a", "b"]}]


def test_a_request_is_answered_by_what_came_in() -> None:
    here = world()
    here.processor("t", change_the_identity)
    request = {"body": json.dumps(fakes.event("e1")), "headers": {"content-type": "application/json"}}

    answer = api.answer(here.runtime, request, Context())

    assert json.loads(answer["body"])["id"] == "e1"
