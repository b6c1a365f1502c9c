"""A client that repeats a dead event leaves one message of it in the DLQ, and no message is dropped in doubt."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from rtp.runtime import Event, Reject, api
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import Context, failures, message, world

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400


def fail(_: Event) -> Any:
    raise RuntimeError("boom")


def reject(_: Event) -> Any:
    raise Reject("never")


def here_with(function: Callable[[Event], Any], **settings: Any) -> fakes.World:
    here = world(max_receive_count=3, **settings)
    here.processor("t", function)
    return here


def request(here: fakes.World, request_id: str, event: dict[str, Any] | None = None) -> int:
    """A client's request. Returns the status code."""
    answer = api.answer(
        here.runtime,
        {
            "body": json.dumps(event or fakes.event()),
            "headers": {"content-type": "application/json"},
            "requestContext": {"requestId": request_id, "requestTimeEpoch": int(here.time[0] * 1000)},
        },
        Context(),
    )
    code: int = answer["statusCode"]
    return code


def queued_message(here: fakes.World, id: str, *, receives: int = 3) -> dict[str, Any]:
    """The message that the latest request queued, as it is delivered."""
    sent = here.queued()[-1]
    attributes = {name: value["StringValue"] for name, value in sent["MessageAttributes"].items()}
    return message(sent["MessageBody"], id, receives=receives, **attributes)


def dies(here: fakes.World, request_id: str = "r1", id: str = "m1") -> None:
    """A request fails, and so does its message: SQS moves it to the DLQ."""
    assert request(here, request_id) == 202
    assert failures(here.deliver(queued_message(here, id))) == [id]


def test_five_requests_leave_one_message() -> None:
    here = here_with(fail)
    dies(here)

    for n in range(2, 7):
        assert request(here, f"r{n}") == 202
        assert failures(here.deliver(queued_message(here, f"m{n}", receives=1))) == [f"m{n}"]  # it has its attempts
        assert failures(here.deliver(queued_message(here, f"m{n}"))) == []  # and is dropped after its last one

    record = here.dynamo.record("e1")
    assert (record["status"], record["dlq_message"]["request_id"]) == ("dead", "r1")
    assert record["attempt_count"] == 17


def test_a_rejected_event_is_sent_to_the_dlq_once() -> None:
    here = here_with(reject)

    assert [request(here, f"r{n}") for n in range(5)] == [422] * 5

    assert len(here.dead_lettered()) == 1


def test_a_rejection_that_could_not_be_sent_covers_nothing() -> None:
    here = here_with(reject)

    def down(name: str, _: dict[str, Any]) -> None:
        if name == "send_message":
            raise fakes.error("ServiceUnavailable")

    here.sqs.fault = down
    assert request(here, "r1") == 503
    here.sqs.fault = None

    assert request(here, "r2") == 422
    assert here.dead_lettered()[-1]["MessageAttributes"]["rtp_request_id"]["StringValue"] == "r2"
    assert request(here, "r3") == 422
    assert len(here.sqs.of("send_message")) == 3  # to the DLQ and to the queue in vain, then one to the DLQ


def test_after_a_purge_the_next_message_is_kept() -> None:
    here = here_with(fail)
    dies(here)
    del here.dynamo.items["e1", "1700000000000"]["dlq_message"]

    dies(here, "r2", "m2")

    assert here.dynamo.record("e1")["dlq_message"]["request_id"] == "r2"


def test_a_purge_during_the_last_attempt_keeps_its_message() -> None:
    here = here_with(fail)
    dies(here)

    def purged(_: Event) -> Any:
        here.dynamo.items["e1", "1700000000000"].pop("dlq_message", None)
        raise RuntimeError("boom")

    here.registry._by_type.clear()
    here.processor("t", purged)

    dies(here, "r2", "m2")
    assert here.dynamo.record("e1")["dlq_message"]["request_id"] == "r2"


def test_a_message_that_somebody_moved_back_by_hand_is_kept() -> None:
    here = here_with(fail)
    dies(here)
    moved = queued_message(here, "m2")  # SQS's own move of DLQ messages gives a new id, and the same attributes

    assert failures(here.deliver(moved)) == ["m2"]


def test_a_message_without_a_request_is_kept() -> None:
    here = here_with(fail)
    dies(here)

    assert failures(here.deliver(message(fakes.event(), "m2", receives=3))) == ["m2"]


def test_another_text_of_the_same_event_is_kept() -> None:
    here = here_with(fail)
    dies(here)

    assert request(here, "r2", fakes.event(corrected=True)) == 202
    assert failures(here.deliver(queued_message(here, "m2"))) == ["m2"]


def test_a_message_that_sqs_has_deleted_by_now_covers_nothing() -> None:
    here = here_with(fail, dlq_retention_days=4)
    dies(here)
    here.time[0] += 4 * DAY

    dies(here, "r2", "m2")


def test_a_redriven_message_is_kept_and_a_second_copy_of_it_is_not() -> None:
    # Given a DLQ message that two redrives sent, because the first was killed before it deleted it
    here = here_with(fail)
    dies(here)
    attributes = {"rtp_request_id": "r1", "rtp_request_time": "1", "rtp_source": "redrive"}

    first = here.deliver(message(fakes.event(), "m2", receives=3, rtp_redrive="run-a#m1", **attributes))
    second = here.deliver(message(fakes.event(), "m3", receives=3, rtp_redrive="run-b#m1", **attributes))
    # and the DLQ message of the first of them, sent by a third redrive
    third = here.deliver(message(fakes.event(), "m4", receives=3, rtp_redrive="run-c#m2", **attributes))

    assert [failures(answer) for answer in (first, second, third)] == [["m2"], [], ["m4"]]


def test_a_killed_last_attempt_is_noted_too() -> None:
    here = here_with(fail)
    request(here, "r1")
    writes: list[str] = []

    def killed(name: str, _: dict[str, Any]) -> None:
        writes.append(name)
        if len(writes) > 1:
            raise fakes.error("ServiceUnavailable")

    here.dynamo.fault = killed
    here.deliver(queued_message(here, "m1"))
    here.dynamo.fault = None
    here.time[0] += 60

    assert request(here, "r2") == 202
    assert failures(here.deliver(queued_message(here, "m2"))) == []


def test_an_event_that_is_processed_has_no_message_in_the_dlq() -> None:
    outcomes: list[Callable[[Event], Any]] = [fail, fail, lambda _: None]
    here = here_with(lambda event: outcomes.pop(0)(event))
    dies(here)

    assert request(here, "r2") == 200
    assert "dlq_message" not in here.dynamo.record("e1")


def test_two_messages_of_one_batch_leave_one() -> None:
    here = here_with(fail)

    answer = here.deliver(
        *(message(fakes.event(), f"m{n}", receives=3, rtp_request_id=f"r{n}", rtp_request_time="1") for n in range(3))
    )

    assert failures(answer) == ["m0"]


def test_an_asynchronous_invocation_of_a_dead_event_leaves_no_second_message() -> None:
    here = here_with(fail)

    def invoke(context: Context) -> list[str]:
        ends: list[str] = []
        for _ in range(3):
            try:
                ends.append(api.invoke(here.runtime, fakes.event(), context)["message"])
            except api.AsynchronousFailureError:
                ends.append("raised")
        return ends

    assert invoke(Context()) == ["raised"] * 3
    assert invoke(Context())[-1] == "failed"  # Lambda writes no message for an invocation that returns


@pytest.mark.parametrize("values", [{}, {"request_id": "r"}, {"request_id": "r", "sent_at": "x", "digest": "d"}])
def test_a_note_that_cannot_be_read_covers_nothing(values: dict[str, Any]) -> None:
    from rtp.runtime import dlqnote

    assert dlqnote.read(values) is None


def test_of_two_asynchronous_invocations_of_an_event_one_ends_in_the_dlq() -> None:
    """Their attempts come in any order; a client invokes again where it did not get the answer."""
    for order in sorted(set(itertools.permutations("aaabbb"))):
        here = here_with(fail)
        contexts = {"a": Context(), "b": Context()}
        ended: dict[str, bool] = {}  # by invocation: whether Lambda sends its event to the DLQ
        tried: Counter[str] = Counter()
        for each in order:
            if each in ended:
                continue
            tried[each] += 1
            try:
                api.invoke(here.runtime, fakes.event(), contexts[each])
            except api.AsynchronousFailureError:
                if tried[each] == 3:
                    ended[each] = True
            else:
                ended[each] = False
        assert any(ended.values()), order
        assert here.dynamo.record("e1")["status"] == "dead"
