"""Another type or other data under a used identity is a conflict: it is neither answered nor dropped as a repeat."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from rtp.runtime import Event, Reject, api, digest, jsontext
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import Context, failures, message, world


def ask(here: fakes.World, event: dict[str, Any] | str, request_id: str = "r") -> tuple[int, dict[str, Any]]:
    """A client's request. Returns the status code and the response's body."""
    response = api.answer(
        here.runtime,
        {
            "body": event if isinstance(event, str) else json.dumps(event),
            "headers": {"content-type": "application/json"},
            "requestContext": {"requestId": request_id, "requestTimeEpoch": int(here.time[0] * 1000)},
        },
        Context(0.5),
        sleep=lambda _: None,
    )
    return response["statusCode"], json.loads(response["body"])


def works() -> fakes.World:
    here = world(max_receive_count=3)
    here.processor("t", lambda event: event.data)
    return here


def reasons(here: fakes.World) -> list[tuple[str, str]]:
    """Event text and reason of each message that was sent to the DLQ."""
    return [
        (sent["MessageBody"], sent["MessageAttributes"]["rtp_error_type"]["StringValue"])
        for sent in here.dead_lettered()
    ]


def counted(capsys: pytest.CaptureFixture[str], name: str) -> int:
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines() if text.startswith("{")]
    return sum(line.get(name, 0) for line in lines if line.get("type") in ("t", "other"))


@pytest.mark.parametrize("processor", [True, False], ids=["with a processor", "stored as it is"])
@pytest.mark.parametrize("second", [fakes.event(total=999), fakes.event(type="other", total=1)])
def test_a_request_with_other_content_is_answered_with_409(processor: bool, second: dict[str, Any]) -> None:
    here = works() if processor else world()
    assert ask(here, fakes.event(total=1))[0] == 200
    before = here.dynamo.record("e1")

    status, body = ask(here, second)

    assert (status, body["message"], body["id"], body["error"]["type"]) == (409, "conflict", "e1", "IdentityConflict")
    assert here.dynamo.record("e1") == before
    assert not here.dead_lettered()  # the client has the answer, and nothing was accepted
    assert not here.queued()


def test_a_message_with_other_content_is_dead_with_its_reason_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    here = works()
    here.deliver(message(fakes.event(total=1), "m1"))
    before = here.dynamo.record("e1")
    second = json.dumps(fakes.event(total=999))
    capsys.readouterr()

    assert failures(here.deliver(message(second, "m2"))) == []

    assert reasons(here) == [(second, "IdentityConflict")]
    assert here.dynamo.record("e1") == {**before, "conflicts": 1}
    assert counted(capsys, "EventsConflicting") == 1


@pytest.mark.parametrize("status", ["processing", "failed", "processed"])
def test_every_record_that_is_not_dead_conflicts(status: str) -> None:
    here = world(max_receive_count=3)
    outcomes: list[Any] = [RuntimeError("boom"), "done"][status == "processed" :]

    def process(_: Event) -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    here.processor("t", process)
    here.deliver(message(fakes.event(n=1), "m1"))
    if status == "processing":  # as a killed function leaves it
        item = here.dynamo.items["e1", "1700000000000"]
        item["status"], item["lease_until"] = {"S": "processing"}, {"N": str(int(here.time[0] * 1000) + 20_000)}
    assert here.dynamo.record("e1")["status"] == status

    assert ask(here, fakes.event(n=2))[0] == 409
    assert failures(here.deliver(message(fakes.event(n=2), "m2"))) == []
    assert [reason for _, reason in reasons(here)] == ["IdentityConflict"]


def test_a_corrected_event_supersedes_a_dead_one() -> None:
    here = world(max_receive_count=3)

    def process(event: Event) -> Any:
        if event.data["n"] < 0:
            raise Reject("negative")
        return event.data["n"]

    here.processor("t", process)
    assert ask(here, fakes.event(n=-1))[0] == 422
    first = here.dynamo.record("e1")

    assert ask(here, fakes.event(n=1))[0] == 200

    record = here.dynamo.record("e1")
    assert (record["status"], record["data"], record["result"]) == ("processed", {"n": 1}, 1)
    assert record["digest"] != first["digest"]
    assert ask(here, fakes.event(n=-1))[0] == 409  # from now on, the first one is the other one


def test_during_its_last_attempt_an_event_is_waited_for() -> None:
    here = works()
    here.deliver(message(fakes.event(n=1), "m1"))
    item = here.dynamo.items["e1", "1700000000000"]
    item["status"], item["lease_until"] = {"S": "dead"}, {"N": str(int(here.time[0] * 1000) + 5_000)}

    assert failures(here.deliver(message(fakes.event(n=2), "m2"))) == ["m2"]
    here.time[0] += 6
    assert failures(here.deliver(message(fakes.event(n=2), "m2", receives=2))) == []
    assert here.dynamo.record("e1")["data"] == {"n": 2}


def test_two_contents_in_one_batch_end_as_one_record_and_one_dlq_message() -> None:
    here = works()
    first, second = fakes.event(n=1), fakes.event(n=2)

    answer = here.deliver(
        message(first, "m1"), message(second, "m2"), message(first, "m3"), message(fakes.event("e2"), "m4")
    )

    assert failures(answer) == []
    assert here.dynamo.record("e1")["data"] == {"n": 1}
    assert reasons(here) == [(json.dumps(second), "IdentityConflict")]
    bodies = [json.loads(line["body"]) for line in here.s3.lines("raw/")]
    assert sorted(body["data"].get("n", 0) for body in bodies) == [0, 1, 2]  # all of them are archived


def test_a_corrected_event_in_the_same_batch_as_the_dead_one_is_processed() -> None:
    here = world(max_receive_count=3)

    def process(event: Event) -> Any:
        if event.data["n"] < 0:
            raise Reject("negative")
        return event.data["n"]

    here.processor("t", process)
    answer = here.deliver(message(fakes.event(n=-1), "m1"), message(fakes.event(n=1), "m2"))

    assert failures(answer) == []
    assert here.dynamo.record("e1")["status"] == "processed"
    assert [reason for _, reason in reasons(here)] == ["Reject"]


def test_a_conflict_that_cannot_be_sent_to_the_dlq_is_delivered_again() -> None:
    here = works()
    here.deliver(message(fakes.event(n=1), "m1"))

    def down(name: str, _: dict[str, Any]) -> None:
        if name == "send_message":
            raise fakes.error("ServiceUnavailable")

    here.sqs.fault = down
    assert failures(here.deliver(message(fakes.event(n=2), "m2"))) == ["m2"]


def test_a_text_that_is_no_event_under_a_used_identity_is_in_the_dlq() -> None:
    here = works()
    here.deliver(message(fakes.event(n=1), "m1"))
    text = json.dumps({**fakes.event(n=1), "surplus": True})

    assert failures(here.deliver(message(text, "m2"))) == []

    assert reasons(here) == [(text, "InvalidEvent")]
    assert here.dynamo.record("e1")["status"] == "processed"


def test_an_asynchronous_invocation_with_other_content_is_in_the_dlq() -> None:
    here = works()
    ask(here, fakes.event(n=1))

    assert api.invoke(here.runtime, fakes.event(n=2), Context())["message"] == "conflict"
    assert [reason for _, reason in reasons(here)] == ["IdentityConflict"]


@pytest.mark.parametrize("attributes", [{}, {"rtp_replay": "run"}], ids=["second attempt", "replay"])
def test_other_data_of_a_second_emission_is_dropped_and_in_a_replay_a_conflict(attributes: dict[str, Any]) -> None:
    # Given an event whose processor emits the time, and was killed after that the first time
    here = works()
    attempts: list[int] = []

    def emit(event: Event) -> None:
        attempts.append(1)
        event.emit("t", {"at": len(attempts)})

    here.processor("parent", emit)
    parent = fakes.event("p1", type="parent")
    here.deliver(message(parent, "m1"))
    if not attributes:
        del here.dynamo.items["p1", "1700000000000"]
    # When it is attempted again, and both follow-up events arrive
    here.deliver(message(parent, "m2", **attributes))
    one, two = (entry for sent in here.sqs.of("send_message_batch") for entry in sent["Entries"])
    for number, entry in enumerate((one, two)):
        mine: dict[str, Any] = {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()}
        assert failures(here.deliver(message(entry["MessageBody"], f"f{number}", **mine))) == []
    # Then the first has been processed, and the second is in the DLQ only where somebody asked for it
    id = json.loads(one["MessageBody"])["id"]
    assert json.loads(two["MessageBody"])["id"] == id
    assert here.dynamo.record(id)["data"] == {"at": 1}
    assert [reason for _, reason in reasons(here)] == (["IdentityConflict"] if attributes else [])


def test_a_replay_runs_only_the_content_that_the_record_has() -> None:
    here = works()
    here.deliver(message(fakes.event(n=1), "m1"))

    here.deliver(message(fakes.event(n=2), "m2", rtp_replay="run"))
    assert [reason for _, reason in reasons(here)] == ["IdentityConflict"]
    here.deliver(message(fakes.event(n=1), "m3", rtp_replay="run"))
    assert here.dynamo.record("e1")["attempt_count"] == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"timestamp":1700000000000,"id":"e1","data":{"b":[1,2.5],"a":"é"},"type":"t"}',
        '{ "id" : "e1",\n "type":"t", "timestamp":1700000000000, "data":{"a":"\\u00e9", "b":[1.0, 25e-1]}}',
    ],
)
def test_order_of_keys_white_space_and_escapes_are_ignored(text: str) -> None:
    here = works()
    ask(here, fakes.event(a="é", b=[1, 2.5]))

    assert ask(here, text)[0] == 200
    assert here.dynamo.record("e1")["attempt_count"] == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"n":1.1}', '{"n":1.10000000000000000001}'),
        ('{"n":12345678901234567890123456789012345678}', '{"n":12345678901234567890123456789012345679}'),
        ('{"n":1}', '{"n":"1"}'),
        ('{"n":1}', '{"n":true}'),
        ('{"n":0}', '{"n":null}'),
        ('{"n":[1,2]}', '{"n":[2,1]}'),
        ('{"n":[12]}', '{"n":[1,2]}'),
        ('{"n":{}}', '{"n":[]}'),
        ('{"n":"é"}', '{"n":"e\u0301"}'),
    ],
)
def test_different_values_have_different_digests(one: str, other: str) -> None:
    digests = {digest.of_event("t", jsontext.loads(text)) for text in (one, other)}
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.00"),
        ("100", "1E+2"),
        ("0", "-0.0"),
        ("0.1", "1e-1"),
        ("1.1000000000000000001", "11000000000000000001e-19"),
    ],
)
def test_equal_numbers_have_one_digest(one: str, other: str) -> None:
    inexact = Decimal("1.10000000000000000001")  # beside it, numbers are written by hand
    for beside in ([], [inexact]):
        assert digest.of_event("t", [jsontext.loads(one), *beside]) == digest.of_event(
            "t", [jsontext.loads(other), *beside]
        )


@pytest.mark.parametrize("body", ['{"type":"t","data":{"name":"Andr\ufffd"}}', "\ufffd"])
def test_what_api_gateway_has_put_in_place_of_bytes_is_refused(body: str) -> None:
    here = works()

    status, answer = ask(here, body)

    assert (status, "UTF-8" in answer["errors"][0]["message"]) == (400, True)
    assert not here.dynamo.items
    assert ask(here, r'{"type":"t","data":{"name":"\ufffd"}}')[0] == 200  # one that is meant
