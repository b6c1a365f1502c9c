"""The worker: outcomes, records, messages and the batch response."""

from __future__ import annotations

import json
import re
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtp.runtime import Event, Reject
from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import NOW, failures, message, world


def fail(event: Event) -> Any:
    raise RuntimeError(f"boom {event.data.get('n', '')}")


def test_an_event_without_a_processor_is_stored_as_is() -> None:
    here = world()

    answer = here.deliver(message(fakes.event(price=1), "m1"))

    assert failures(answer) == []
    record = here.dynamo.record("e1")
    assert (record["status"], record["type"], record["data"]) == ("processed", "t", {"price": 1})
    assert record["status_shard"].startswith("processed#")
    assert (record["source"], record["attempt_count"], record["attempts"][0]["outcome"]) == ("queue", 1, "processed")


def test_a_result_of_a_processor_is_stored() -> None:
    here = world()
    here.processor("t", lambda event: {"cents": round(event.data["total"] * 100), "share": 0.1})

    here.deliver(message('{"id":"e1","timestamp":5,"type":"t","data":{"total":12.50}}'))

    record = here.dynamo.record("e1")
    assert record["result"] == {"cents": 1250, "share": Decimal("0.1")}
    assert record["lease_until"] == 0
    (line,) = here.s3.lines("processed/")
    assert (line["id"], line["result"]["cents"]) == ("e1", 1250)


def test_the_raw_event_is_archived_unchanged_before_it_is_processed() -> None:
    here = world()
    body = '{"id":"e1",  "timestamp":5,"type":"t","data":{"x":1.10}}'
    archived: list[int] = []
    here.processor("t", lambda _: archived.append(len(here.s3.lines("raw/"))))

    here.deliver(message(fakes.event("e0", "other")), message(body))

    assert archived == [2]
    key, _, line = here.dynamo.record("e1")["raw_key"].partition("#")
    assert here.s3.lines(key)[int(line)]["body"] == body
    assert key.startswith("raw/2025/06/15/15/")


def test_a_batch_is_archived_in_one_object_and_its_results_in_another() -> None:
    here = world()
    here.processor("t", lambda _: {"ok": True})

    here.deliver(*(message(fakes.event(f"e{n}")) for n in range(10)))

    assert len(here.s3.of("put_object")) == 2
    assert len(here.dynamo.of("batch_execute_statement")) == 2
    assert here.dynamo.of("update_item") == []


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_a_batch_is_written_singly_where_statements_are_refused(code: str) -> None:
    here = world()
    here.processor("t", lambda _: {"ok": True})
    here.dynamo.fault = _fails_from("batch_execute_statement", 1, code)

    answer = here.deliver(*(message(fakes.event(f"e{n}", "t" if n < 5 else "u")) for n in range(10)))

    assert failures(answer) == []
    assert [record["status"] for record in here.dynamo.records()] == ["processed"] * 10


def test_a_batch_with_duplicates_is_written_partly_in_one_call() -> None:
    here = world()
    runs: list[str] = []
    here.processor("t", lambda event: runs.append(event.id))
    here.deliver(message(fakes.event("e1")), message(fakes.event("stored", "u")))

    answer = here.deliver(*(message(fakes.event(f"e{n}")) for n in range(3)), message(fakes.event("stored", "u")))

    assert failures(answer) == []
    assert sorted(runs) == ["e0", "e1", "e2"]
    assert len(here.dynamo.records()) == 4


def test_a_failure_is_recorded_and_retried_later() -> None:
    here = world()
    here.processor("t", fail)

    answer = here.deliver(message(fakes.event(n=7), "m1"))

    assert failures(answer) == ["m1"]
    assert here.delays() == [1]
    record = here.dynamo.record("e1")
    assert record["status"] == "failed"
    at = record["error"].pop("at")
    assert record["error"] == {"type": "RuntimeError", "message": "boom 7", "signature": "RuntimeError: boom *"}
    assert re.fullmatch(r"tests/unit/runtime/test_worker\.py:\d+ fail", at)  # the project's own innermost line
    assert record["attempts"][0]["error"]["at"] == at
    assert here.dead_lettered() == []


def test_each_attempt_is_recorded() -> None:
    here = world()
    here.processor("t", lambda event: fail(event) if event.attempt < 3 else {"attempt": event.attempt})

    answers = [here.deliver(message(fakes.event(), "m1", receives=n)) for n in (1, 2, 3)]

    assert [failures(answer) for answer in answers] == [["m1"], ["m1"], []]
    record = here.dynamo.record("e1")
    assert [(a["n"], a["outcome"]) for a in record["attempts"]] == [(1, "failed"), (2, "failed"), (3, "processed")]
    assert record["status"] == "processed"
    assert "error" not in record


def test_the_last_attempt_marks_the_record_dead_and_lets_sqs_move_the_message_at_once() -> None:
    here = world(max_receive_count=3)
    here.processor("t", fail)

    answer = here.deliver(message(fakes.event(), "m1", receives=3))

    assert failures(answer) == ["m1"]
    assert here.delays() == [0]
    assert here.dynamo.record("e1")["status"] == "dead"


def test_a_killed_last_attempt_leaves_a_dead_record() -> None:
    here = world(max_receive_count=3)
    here.processor("t", fail)
    # The process is killed after the claim: no later write happens.
    here.dynamo.fault = _fails_from("update_item", 2)

    here.deliver(message(fakes.event(), "m1", receives=3))

    record = here.dynamo.record("e1")
    assert (record["status"], record["error"]["type"]) == ("dead", "Interrupted")
    assert record["lease_until"] > NOW * 1000


def test_a_dead_record_is_claimed_again_by_a_redrive() -> None:
    here = world(max_receive_count=1)
    here.processor("t", lambda event: fail(event) if event.source == "queue" else {"ok": True})
    here.deliver(message(fakes.event(), "m1"))
    assert here.dynamo.record("e1")["status"] == "dead"

    answer = here.deliver(message(fakes.event(), "m2", rtp_source="redrive"))

    assert failures(answer) == []
    record = here.dynamo.record("e1")
    assert (record["status"], record["source"], record["result"]) == ("processed", "redrive", {"ok": True})


def test_a_rejected_event_moves_to_the_dlq_with_its_reason() -> None:
    here = world()

    def refuse(_: Event) -> None:
        raise Reject("negative total\n\x1b[31m")

    here.processor("t", refuse)

    answer = here.deliver(message(fakes.event(), "m1", mine="text", rtp_request_id="r1", rtp_request_time="17"))

    assert failures(answer) == []
    (sent,) = here.dead_lettered()
    attributes = {name: value["StringValue"] for name, value in sent["MessageAttributes"].items()}
    assert attributes == {
        "mine": "text",
        "rtp_error_type": "Reject",
        "rtp_error_message": "negative total  [31m",
        "rtp_request_id": "r1",
        "rtp_request_time": "17",
        "rtp_source": "queue",
    }
    assert json.loads(sent["MessageBody"]) == fakes.event()
    record = here.dynamo.record("e1")
    assert (record["status"], record["attempts"][0]["outcome"]) == ("dead", "rejected")


def test_an_invalid_event_is_rejected_with_a_record() -> None:
    here = world()

    answer = here.deliver(message('{"type":"t","data":{"n":NaN}}', "m1"), message(fakes.event("good"), "m2"))

    assert failures(answer) == []
    record = here.dynamo.record("m1")
    assert (record["status"], record["error"]["type"]) == ("dead", "InvalidEvent")
    assert "$.data.n" in record["error"]["message"]
    assert len(here.dead_lettered()) == 1
    assert here.dynamo.record("good")["status"] == "processed"


def test_a_message_that_cannot_be_moved_to_the_dlq_is_delivered_again() -> None:
    here = world()
    here.sqs.fault = _fails_from("send_message", 1)

    assert failures(here.deliver(message("nonsense", "m1"))) == ["m1"]


def test_a_processed_event_does_not_run_again() -> None:
    here = world()
    runs: list[str] = []
    here.processor("t", lambda event: runs.append(event.id))

    answers = [here.deliver(message(fakes.event(), f"m{n}", receives=n)) for n in (1, 2)]

    assert [failures(answer) for answer in answers] == [[], []]
    assert runs == ["e1"]


def test_a_replay_runs_a_processed_event_once_more() -> None:
    here = world()
    runs: list[str] = []
    here.processor("t", lambda event: runs.append(event.source))
    here.deliver(message(fakes.event(), "m1"))

    replays = [message(fakes.event(), f"r{n}", rtp_source="replay", rtp_replay="run-1") for n in range(2)]
    answers = [here.deliver(replay) for replay in replays]

    assert [failures(answer) for answer in answers] == [[], []]
    assert runs == ["queue", "replay"]


def test_the_same_event_twice_in_a_batch_runs_once() -> None:
    here = world()
    runs: list[str] = []
    here.processor("t", lambda event: runs.append(event.id))

    answer = here.deliver(message(fakes.event(), "m1"), message(fakes.event(), "m2"))

    assert failures(answer) == []
    assert runs == ["e1"]


def test_duplicates_of_a_failure_in_a_batch_fail_with_it() -> None:
    here = world()
    here.processor("t", fail)

    answer = here.deliver(message(fakes.event(), "m1"), message(fakes.event(), "m2"))

    assert failures(answer) == ["m1", "m2"]


def test_a_second_message_of_an_event_in_process_is_deleted() -> None:
    here = world()
    inner: list[dict[str, Any]] = []
    here.processor("t", lambda _: inner.append(here.deliver(message(fakes.event(), "m2"))))

    here.deliver(message(fakes.event(), "m1"))

    assert failures(inner[0]) == []  # m1 covers both
    assert len(here.dynamo.records()) == 1


def test_a_redelivery_of_a_message_in_process_is_hidden_until_the_lease_ends() -> None:
    here = world()
    inner: list[dict[str, Any]] = []
    here.processor("t", lambda _: inner.append(here.deliver(message(fakes.event(), "m1", receives=2))))

    here.deliver(message(fakes.event(), "m1"), seconds=20)

    assert failures(inner[0]) == ["m1"]
    assert here.delays() == [21]


def test_a_lease_ends_with_the_function_s_time() -> None:
    here = world()
    here.processor("t", lambda _: {"ok": True})
    here.dynamo.fault = _fails_from("update_item", 2)
    here.deliver(message(fakes.event(), "m1"), seconds=20)
    here.dynamo.fault = None
    here.time[0] += 21

    answer = here.deliver(message(fakes.event(), "m1", receives=2))

    assert failures(answer) == []
    attempts = here.dynamo.record("e1")["attempts"]
    assert [(a["n"], a["outcome"]) for a in attempts] == [(1, "interrupted"), (2, "processed")]


def test_a_lease_written_by_a_clock_a_day_ahead_is_ignored() -> None:
    here = world()
    here.processor("t", lambda _: {"ok": True})
    here.time[0] += 86_400
    here.dynamo.fault = _fails_from("update_item", 2)
    here.deliver(message(fakes.event(), "m1"))
    here.dynamo.fault = None
    here.time[0] -= 86_400

    assert failures(here.deliver(message(fakes.event(), "m1", receives=2))) == []


@pytest.mark.parametrize(
    ("service", "call"),
    [("s3", "put_object"), ("dynamo", "update_item"), ("sqs", "send_message_batch")],
)
def test_the_pause_after_an_outage_is_longer_than_after_a_failure(service: str, call: str) -> None:
    here = world()
    here.processor("t", lambda event: event.emit("u", {}) and None)
    getattr(here, service).fault = _fails_from(call, 1)

    answer = here.deliver(message(fakes.event(), "m1"))

    assert failures(answer) == ["m1"]
    assert here.delays()[0] >= 10


def test_when_the_record_cannot_be_written_the_message_is_hidden_until_the_lease_ends() -> None:
    here = world()
    here.processor("t", lambda _: {"ok": True})
    here.dynamo.fault = _fails_from("update_item", 2)

    here.deliver(message(fakes.event(), "m1"), seconds=60)

    assert here.delays() == [61]


def test_a_result_that_is_not_json_fails_the_attempt() -> None:
    here = world()
    here.processor("t", lambda _: {"when": time})

    assert failures(here.deliver(message(fakes.event(), "m1"))) == ["m1"]
    assert "$.when" in here.dynamo.record("e1")["error"]["message"]


def test_large_values_are_stored_in_the_bucket() -> None:
    here = world()
    here.processor("t", lambda event: {"copy": event.data["text"]})
    body = fakes.event(text="x" * 500_000)

    here.deliver(message(body))
    here.deliver(message(body))

    record = here.dynamo.record("e1")
    assert "data" not in record
    assert "result" not in record
    assert json.loads(here.s3.objects[record["data_key"]])["text"] == "x" * 500_000
    assert json.loads(here.s3.objects[record["result_key"]])["copy"] == "x" * 500_000


def test_a_duplicate_with_other_data_does_not_change_the_stored_values() -> None:
    # Given a processed event whose data and result are stored in the bucket
    here = world()
    here.processor("t", lambda event: {"copy": event.data["text"]})
    here.deliver(message(fakes.event(text="x" * 500_000)))
    # When other data arrives with the same identity / Then it is a duplicate, and the stored values do not change
    here.deliver(message(fakes.event(text="y" * 500_000), "m2"))
    record = here.dynamo.record("e1")
    assert json.loads(here.s3.objects[record["data_key"]])["text"][0] == "x"
    assert json.loads(here.s3.objects[record["result_key"]])["copy"][0] == "x"


def test_a_replay_without_a_result_removes_the_older_result() -> None:
    here = world()
    answers: list[Any] = [{"copy": "x" * 500_000}, None]
    here.processor("t", lambda _: answers.pop(0))
    here.deliver(message(fakes.event()))
    here.deliver(message(fakes.event(), "m2", rtp_source="replay", rtp_replay="run-1"))
    assert not {"result", "result_key"} & here.dynamo.record("e1").keys()


def test_values_that_dynamodb_cannot_nest_are_stored_in_the_bucket() -> None:
    here = world()
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"": deep}

    here.deliver(message(fakes.event(deep=deep)))

    assert here.dynamo.record("e1")["data_key"].startswith("processed/items/e1/")


def test_async_processors_run_concurrently() -> None:
    import asyncio

    here, all_ten = world(), asyncio.Barrier(10)

    async def meet(event: Event) -> dict[str, Any]:
        async with asyncio.timeout(20):
            await all_ten.wait()
        return {"n": event.data["n"]}

    here.processor("t", meet)

    answer = here.deliver(*(message(fakes.event(f"e{n}", n=n)) for n in range(10)))

    assert failures(answer) == []
    assert sorted(record["result"]["n"] for record in here.dynamo.records()) == list(range(10))


@pytest.mark.parametrize("is_async", [False, True])
def test_a_slow_event_of_a_batch_fails_alone_before_lambda_ends_the_function(is_async: bool) -> None:
    import asyncio
    import threading

    here = world()
    forever = threading.Event()

    def hang(event: Event) -> None:
        if event.id == "slow":
            forever.wait(30)

    async def hang_async(event: Event) -> None:
        if event.id == "slow":
            await asyncio.sleep(30)

    here.processor("t", hang_async if is_async else hang)

    batch = [message(fakes.event("slow"), "slow"), *(message(fakes.event(f"e{n}"), f"m{n}") for n in range(9))]
    answer = here.deliver(*batch, seconds=1.2)
    forever.set()

    assert failures(answer) == ["slow"]
    assert here.dynamo.record("slow")["error"]["type"] == "OutOfTimeError"
    assert sum(record["status"] == "processed" for record in here.dynamo.records()) == 9


def test_batch_concurrency_bounds_how_many_run_at_once() -> None:
    here = world(batch_concurrency=3)
    running: list[int] = []
    most: list[int] = []

    def count(_: Event) -> None:
        running.append(1)
        most.append(len(running))
        time.sleep(0.01)
        running.pop()

    here.processor("t", count)

    here.deliver(*(message(fakes.event(f"e{n}")) for n in range(10)))

    assert max(most) <= 3


def test_emitted_events_are_queued_before_the_record_is_written() -> None:
    here = world()

    def follow(event: Event) -> None:
        event.emit("u", {"n": 1})
        event.emit("u", {"n": 2})

    here.processor("t", follow)

    here.deliver(message(fakes.event(), trace="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"))

    (sent,) = here.sqs.of("send_message_batch")
    assert [json.loads(entry["MessageBody"])["data"]["n"] for entry in sent["Entries"]] == [1, 2]
    assert sent["Entries"][0]["MessageAttributes"]["rtp_depth"]["StringValue"] == "1"
    assert sent["Entries"][0]["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].startswith("Root=1-5759e988")


def test_a_failed_attempt_emits_nothing() -> None:
    here = world()

    def follow(event: Event) -> None:
        event.emit("u", {})
        fail(event)

    here.processor("t", follow)

    here.deliver(message(fakes.event()))

    assert here.sqs.of("send_message_batch") == []


def test_processors_that_cannot_be_loaded_fail_their_events_without_losing_any() -> None:
    here = world()
    here.registry.failure = ImportError("no module named numpy")

    assert failures(here.deliver(message(fakes.event(), "m1"))) == ["m1"]
    assert "numpy" in here.dynamo.record("e1")["error"]["message"]


class Strange(BaseException):
    def __str__(self) -> str:
        raise RuntimeError("no text")


OUTCOMES: dict[str, Any] = {
    "ok": lambda: {"fine": 1},
    "none": lambda: None,
    "fail": ValueError("no"),
    "reject": Reject("never"),
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt(),
    "strange": Strange(),
    "unserialisable": lambda: {"x": object()},
    "nan": lambda: {"x": float("nan")},
}
DONE = {"ok", "none", "reject", "invalid", "stored"}


def act(event: Event) -> Any:
    outcome = OUTCOMES[event.data["do"]]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome()


# A batch's messages as (action, id, receives); the call that fails, and from which call on.
BATCHES = (
    st.lists(
        st.tuples(st.sampled_from([*OUTCOMES, "invalid", "stored"]), st.integers(0, 12), st.integers(1, 6)), max_size=10
    ),
    st.sampled_from(
        [
            "",
            "put_object",
            "update_item",
            "put_item",
            "batch_execute_statement",
            "send_message",
            "change_message_visibility",
        ]
    ),
    st.integers(1, 12),
)


@settings(deadline=None)
@given(*BATCHES)
def test_the_batch_response_names_exactly_the_messages_to_deliver_again(
    batch: list[tuple[str, int, int]], failing_call: str, nth: int
) -> None:
    check_batch_response(batch, failing_call, nth)


def check_batch_response(batch: list[tuple[str, int, int]], failing_call: str, nth: int) -> None:
    here = world()
    here.processor("t", act)
    for service in (here.dynamo, here.s3, here.sqs):
        service.fault = _fails_from(failing_call, nth) if failing_call else None
    records = [
        message(
            "{" if do == "invalid" else fakes.event(f"e{position}", "t" if do in OUTCOMES else "other", do=do),
            f"m{id}",  # ids repeat sometimes
            receives=receives,
        )
        for position, (do, id, receives) in enumerate(batch)
    ]

    answer = here.deliver(*records)

    assert json.loads(json.dumps(answer)) == answer
    failed = failures(answer)
    assert len(failed) == len(set(failed))
    assert set(failed) <= {record["messageId"] for record in records}
    if not failing_call or failing_call == "change_message_visibility":
        without_id = [id for do, id, _ in batch if do == "invalid"]  # without ids they are one event
        expected = {f"m{id}" for do, id, _ in batch if do not in DONE}
        assert set(failed) == expected, without_id


def _fails_from(call: str, nth: int, code: str = "ServiceUnavailable") -> fakes.Fault:
    """Return a fault that fails every such call from the nth on."""
    count = [0]

    def fault(name: str, _: dict[str, Any]) -> None:
        if name == call:
            count[0] += 1
            if count[0] >= nth:
                raise fakes.error(code)

    return fault
