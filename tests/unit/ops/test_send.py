"""One event on its way through the API, the summary of many, and the JSON shapes of both."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from rtp.aws.api import Answer, Key
from rtp.contract import Output
from rtp.errors import AwsError, EndpointError, MissingError
from rtp.ops.events.payload import Event
from rtp.ops.events.send import NewKey, SendRequest, ToApi, ToQueue
from rtp.ops.events.send import send as send_to
from rtp.ops.events.sent import Sent, SentEvent, Via
from rtp.ops.events.summary import Summary
from rtp.ops.work.pool import Stop
from rtp.text import json_values
from tests.clocks import FakeClock
from tests.unit.ops.fakes import QUEUE, FakeAws

EVENT = Event('{"id":"e1"}', "e1", 7, "order.created", line=3)


@dataclass
class Service:
    """Gives its answers in turn, the last one repeatedly; time passes only while a caller waits."""

    answers: list[Answer | EndpointError]
    time: FakeClock = field(default_factory=FakeClock)
    headers: list[str] = field(default_factory=list)

    def post(self, path: str, body: bytes, *, trace_header: str) -> Answer:
        assert path in ("process", "events")
        assert body == EVENT.body.encode()
        self.headers.append(trace_header)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, EndpointError):
            raise answer
        return answer

    @property
    def pauses(self) -> list[float]:
        return self.time.pauses


def answer(status: int, **body: Any) -> Answer:
    return Answer(status, body, 12.0)


def send(
    *answers: Answer | EndpointError, via: Via = Via.API, stop: Stop | None = None, new_key: NewKey | None = None
) -> tuple[Sent, Service]:
    service = Service(list(answers))
    work = ToApi(
        service.post,
        via,
        timeout_s=60,
        stop=stop or Stop(),
        new_key=new_key,
        clock=service.time.clock,
        jitter=lambda: 1.0,
    )
    (sent,) = work(EVENT)
    return sent, service


def test_a_new_key_is_waited_for_until_the_gateway_knows_it() -> None:
    # Given a key that API Gateway does not know yet / When an event is sent
    sentences: list[str] = []
    key, refused = NewKey(sentences.append), answer(403, message="Forbidden")
    sent, service = send(refused, refused, answer(200), new_key=key)
    # Then it is sent again, and the wait is said once
    assert (sent.status, len(service.pauses), len(sentences)) == ("processed", 2, 1)
    assert "API key is new" in sentences[0]
    # And once the key is known a 403 is final, as it is for an old key
    assert send(refused)[0].http_status == 403  # of a key that is not new


def test_a_new_key_that_one_host_knows_and_the_next_does_not_is_waited_for_too() -> None:
    key, forbidden = NewKey(lambda _: None), answer(403, message="Forbidden")
    for known in (answer(200), answer(429)):
        send(known, answer(200), new_key=key)
        assert send(forbidden, answer(200), new_key=key)[0].status == "processed"


def test_a_new_key_is_not_waited_for_without_end() -> None:
    stop = Stop()
    sent, service = send(*[answer(403)] * 100, stop=stop, new_key=NewKey(lambda _: None))
    assert sent.http_status == 403 and sum(service.pauses) <= 60 and stop.drain.is_set()


@pytest.mark.parametrize(
    ("via", "answer", "status"),
    [
        (Via.API, answer(200, result={"n": 1}), "processed"),
        (Via.API, answer(202), "queued"),
        (Via.EVENTS, answer(202), "accepted"),
        (Via.API, answer(422, error={"type": "Reject", "message": "no"}), "rejected"),
        (Via.API, answer(409, error={"type": "IdentityConflict", "message": "no"}), "conflict"),
        (Via.API, answer(400, message="not an event", errors=[{"path": "$.data", "message": "required"}]), "failed"),
        (Via.API, answer(413, message="too large"), "failed"),
        (Via.API, answer(418), "failed"),
    ],
)
def test_a_final_answer_is_not_retried(via: Via, answer: Answer, status: str) -> None:
    sent, service = send(answer, via=via)

    assert (sent.status, sent.http_status) == (status, answer.status)
    assert service.pauses == []


def test_the_reason_of_a_refusal_is_reported() -> None:
    sent, _ = send(answer(400, message="not an event", errors=[{"path": "$.data", "message": "required"}]))

    assert sent.error == {"type": "Http400", "message": "not an event: $.data: required"}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_temporary_error_is_retried_with_the_same_id_and_trace(status: int) -> None:
    sent, service = send(answer(status), answer(status), answer(200))

    assert sent.status == "processed"
    assert len(service.pauses) == 2
    assert service.pauses[1] > service.pauses[0]
    assert len(set(service.headers)) == 1
    assert sent.trace_id in service.headers[0]


def test_a_stored_answer_is_a_repeat_unless_this_run_may_have_stored_it() -> None:
    stored = Answer(200, {}, 1.0, replayed=True)

    assert [send(stored)[0].repeat, send(answer(503), stored)[0].repeat] == [True, False]


def test_retry_after_is_respected() -> None:
    _, service = send(Answer(503, {}, 1.0, retry_after=7.0), answer(200))

    assert service.pauses == [7.0]


def test_a_throttled_event_is_retried_until_the_timeout() -> None:
    sent, service = send(answer(429, message="Too Many Requests"))

    assert sent.status == "failed"
    assert 50 < service.time.now <= 60
    assert not Summary(1).failed


def test_a_failing_service_is_retried_a_few_times() -> None:
    sent, service = send(answer(503))

    assert (sent.status, sent.http_status, len(service.pauses)) == ("failed", 503, 5)


def test_without_an_endpoint_the_event_fails_and_the_run_ends() -> None:
    stop = Stop()

    sent, service = send(EndpointError("Nothing answered at http://x"), stop=stop)

    assert (sent.status, sent.http_status) == ("failed", None)
    assert sent.error == {"type": "NoAnswer", "message": "Nothing answered at http://x"}
    assert len(service.pauses) == 4
    assert stop.drain.is_set()


@pytest.mark.parametrize(
    "answer",
    [
        answer(403, message="Forbidden"),
        answer(429, message="Limit Exceeded"),
        answer(429, message="the key's daily quota is used up"),
    ],
)
def test_an_error_that_every_event_would_get_ends_the_run(answer: Answer) -> None:
    stop = Stop()

    _, service = send(answer, stop=stop)

    assert stop.drain.is_set()
    assert service.pauses == []


def test_the_shape_of_one_event_is_pinned() -> None:
    sent, _ = send(answer(200, result={"n": 1}, trace_id="1-2-3"))

    assert json_values.to_json_types(sent.document()) == {
        "id": "e1",
        "timestamp": 7,
        "status": "processed",
        "http_status": 200,
        "trace_id": "1-2-3",
        "latency_ms": 12.0,
        "type": "order.created",
        "result": {"n": 1},
    }


def test_a_failed_event_also_has_its_error_and_line() -> None:
    sent, _ = send(answer(413, message="too large"))

    assert sent.document().error == {"type": "Http413", "message": "too large"}
    assert sent.document().line == 3


def test_the_shape_of_one_event_with_wait_has_its_record() -> None:
    summary = Summary(1, waits=True)
    summary.add(send(answer(202))[0])

    assert json_values.to_json_types(summary.document())["record"] is None
    summary.end({"id": "e1", "timestamp": 7, "status": "processed"})
    assert json_values.to_json_types(summary.document())["record"]["status"] == "processed"
    assert not summary.pending


@pytest.mark.parametrize(
    ("status", "digest", "has_ended", "outcomes"),
    [
        ("processed", "own", True, {"processed": 1}),
        ("processed", "other", True, {"conflict": 1}),
        ("dead", "own", True, {"dead": 1}),
        ("dead", "other", False, None),  # which this one supersedes
        ("failed", "other", False, None),
        ("processed", "", True, {"processed": 1}),
    ],
)
def test_a_record_of_another_event_is_no_outcome(
    status: str, digest: str, has_ended: bool, outcomes: dict[str, int] | None
) -> None:
    summary = Summary(1, waits=True)
    summary.add(Sent("e1", 1, "accepted", 202, "", 1.0, digest="own"))
    record = {"id": "e1", "timestamp": 1, "status": status, **({"digest": digest} if digest else {})}

    assert summary.has_ended(record) == has_ended
    if outcomes is None:
        return
    summary.end(record)
    assert summary.outcomes == outcomes
    assert summary.has_failures == (outcomes != {"processed": 1})
    if "conflict" in outcomes:
        document = summary.document()
        assert isinstance(document, SentEvent)
        assert (document.status, document.error) == ("conflict", summary.failed[0].error)
        assert not summary.is_pipeline_suspect


def test_the_shape_of_several_is_pinned() -> None:
    summary = Summary(3)
    summary.add(send(answer(200))[0])
    summary.add(send(answer(202))[0])
    summary.add(send(answer(400, message="no"))[0])
    summary.elapsed_s = 2.0

    document = json.loads(json_values.dumps(summary.document()))

    assert list(document) == ["sent", "by_status", "failed", "elapsed_s", "rate", "p50_ms", "p99_ms"]
    assert document["by_status"] == {"processed": 1, "queued": 1, "failed": 1}
    assert [f["id"] for f in document["failed"]] == ["e1"]
    assert (document["rate"], document["p50_ms"]) == (1.5, 12.0)


def test_events_that_were_not_sent_are_counted() -> None:
    summary = Summary(10)
    summary.add(send(answer(200))[0])

    assert json_values.to_json_types(summary.document())["unsent"] == 9
    assert summary.has_failures


def test_percentiles_are_of_the_measured_latencies() -> None:
    summary = Summary(100)
    for n in range(1, 101):
        summary.add(Sent("e", 1, "processed", 200, "", float(n)))

    assert (summary.percentile(50), summary.percentile(99), summary.percentile(100)) == (50.0, 99.0, 100.0)
    assert Summary(1).percentile(99) == 0.0


def test_ten_events_are_sent_to_the_queue_at_once_and_refused_ones_are_reported() -> None:
    aws = FakeAws(refused={"bad"})
    events = [Event("bad" if n == 4 else f"body{n}", f"e{n}", n, "t") for n in range(10)]

    sent = list(ToQueue(aws, QUEUE)(events))

    assert aws.calls["send_message_batch"] == 1
    assert [s.status for s in sent] == ["accepted"] * 4 + ["failed"] + ["accepted"] * 5
    assert sent[4].error == {"type": "SqsError", "message": "InvalidMessageContents: not today"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MissingError("The queue q does not exist.", service_code="QueueDoesNotExist"), "The queue q does not exist"),
        (EndpointError("Nothing answers."), "Nothing answers; it may have been accepted"),
    ],
)
def test_an_error_of_the_whole_call_is_each_event_s_and_ends_the_run(error: AwsError, expected: str) -> None:
    # Given a queue that answers no call
    def fault(_operation: str, _when: str) -> None:
        raise error

    events = [Event(f"body{n}", f"e{n}", n, "t") for n in range(10)]
    results: list[Sent] = []
    # When events are sent to it
    with pytest.raises(type(error)):
        results.extend(
            send_to(FakeAws(fault=fault), {Output.QUEUE_URL: QUEUE}, events, SendRequest(via=Via.SQS), stop=Stop())
        )
    # Then each has the queue's answer, and none is called interrupted
    assert [r.error for r in results] == [{"type": error.service_code or "NoAnswer", "message": expected}] * 10


def test_what_was_sent_before_an_error_is_reported_as_sent() -> None:
    # Given a queue that refuses half of a batch for now, and is gone when they are sent again
    calls = itertools.count()

    class Refusing(FakeAws):
        def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
            if next(calls):
                raise MissingError("The queue q does not exist.")
            kept = params["Entries"][:5]
            answer = super().call(service, operation, **{**params, "Entries": kept})
            late = [{"Id": e["Id"], "Code": "ServiceUnavailable"} for e in params["Entries"][5:]]
            return answer | {"Failed": late}

    events = [Event(f"body{n}", f"e{n}", n, "t") for n in range(10)]
    # When events are sent to it / Then only the others failed
    sent = list(ToQueue(Refusing(), QUEUE)(events))
    assert [s.status for s in sent] == ["accepted"] * 5 + ["failed"] * 5


def test_a_key_never_shows() -> None:
    assert "s3cret" not in repr(Key("s3cret"))
