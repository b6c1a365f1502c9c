"""Draining: when a queue counts as empty, what a last receive finds, who has the intake, and what is accounted for."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws.api import Answer
from rtp.commands.render.progress import drained_views
from rtp.config.settings import Settings
from rtp.contract import Names
from rtp.contract import Output as Outputs
from rtp.errors import AwsError, EndpointError, RefusedError, RtpError, WaitTimeoutError
from rtp.ops.stack.operation import IntakeState
from rtp.ops.stack.steps import Drained, Warn
from rtp.ops.stack.teardown.drain import AWS, Drain, Pace
from rtp.ops.stack.teardown.intake import Intake, Observation, noticed, reopened
from rtp.ops.work.clock import Clock
from rtp.runtime import attributes
from rtp.terminal.output import Output
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

NAMES = Names("shop", "dev")
OUTPUTS: dict[str, str] = {
    Outputs.API_ID: "api",
    Outputs.API_STAGE: "prod",
    Outputs.API_KEY_ID: "key",
    Outputs.QUEUE_URL: "https://sqs/1/shop-dev-queue",
    Outputs.DLQ_URL: "https://sqs/1/shop-dev-dlq",
    Outputs.TABLE: "table",
    Outputs.BUCKET: "bucket",
    Outputs.PROCESSOR: "shop-dev-processor",
}
NOW = 1_700_000_000_000
PACE = Pace(poll_s=5.0, calm_s=60.0, receive_s=20, closing=Observation(1, 0.0, 0.0))


@dataclass
class World:
    """A stack as its services answer for it. A clock that only sleeping moves.

    depths: of the queue, by time; messages: what a receive gets, each once; raw: archived events; table: their records.
    """

    depths: Callable[[float], int] = lambda _: 0
    messages: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    table: dict[str, dict[str, Any]] = field(default_factory=dict)
    dlq: Callable[[float], int] = lambda _: 0
    dlq_hidden: bool = False  # its messages cannot be received
    settings: dict[str, dict[str, Any]] = field(default_factory=lambda: {"*/*": limits(1000.0, 2000)})
    variables: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    time: float = 0.0
    switched: list[bool] = field(default_factory=list)
    given_back: list[dict[str, Any]] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    denied: frozenset[str] = frozenset()
    is_logged: bool = True

    def aws(self) -> Any:
        answers: dict[str, Callable[..., Any]] = {
            "get_stage": self._stage,
            "update_stage": self._update,
            "get_queue_attributes": self._attributes,
            "receive_message": self._receive,
            "change_message_visibility_batch": self._give_back,
            "send_message_batch": self._send,
            "delete_message_batch": self._delete,
            "get_function_configuration": lambda **_: {"Timeout": 30},
            "filter_log_events": self._log,
            "list_objects_v2": self._objects,
            "get_object": lambda **_: {"Body": io.BytesIO(self._archive())},
            "batch_get_item": self._items,
        }

        def checked(name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
            def call(**given: Any) -> Any:
                if name in self.denied:
                    raise AwsError(f"not allowed to {name}", code="access-denied")
                return answer(**given)

            return call

        aws: Any = FakeAws({name: checked(name, answer) for name, answer in answers.items()})
        events = type("Events", (), {"register": lambda *_, **__: None})()
        aws.client = lambda _: type("Client", (), {"meta": type("Meta", (), {"events": events})()})()
        return aws

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def wait(self, _: Event, seconds: float) -> bool:
        self.sleep(seconds)
        return False

    def switch(self, *, on: bool) -> None:
        self.switched.append(on)

    def _stage(self, **_: Any) -> Any:
        settings = json.loads(json.dumps(self.settings))
        settings.get("*/*", {})["loggingLevel"] = "ERROR" if self.is_logged else "OFF"
        return {"methodSettings": settings, "variables": dict(self.variables)}

    def _update(self, *, patchOperations: list[dict[str, str]], **_: Any) -> Any:
        for op in patchOperations:
            parts = [part.replace("~1", "/") for part in op["path"][1:].split("/")]
            if parts[0] == "variables" and op["op"] == "remove":
                self.variables.pop(parts[1], None)
            elif parts[0] == "variables":
                self.variables[parts[1]] = op["value"]
            elif op["op"] == "remove":
                del self.settings["/".join(parts)]
            else:
                given, name = "/".join(parts[:2]), parts[3]
                method = next((known for known in self.settings if spelled(known) == spelled(given)), given)
                key = {"rateLimit": "throttlingRateLimit", "burstLimit": "throttlingBurstLimit"}[name]
                self.settings.setdefault(method, {})[key] = float(op["value"])
        return {}

    def _attributes(self, *, QueueUrl: str, AttributeNames: list[str], **_: Any) -> Any:
        if AttributeNames == ["RedrivePolicy"]:
            return {"Attributes": {"RedrivePolicy": json.dumps({"maxReceiveCount": "3"})}}
        depth = self.dlq(self.time) if QueueUrl.endswith("dlq") else self.depths(self.time)
        return {"Attributes": {"ApproximateNumberOfMessagesNotVisible": str(depth)}}

    def _receive(self, *, QueueUrl: str, WaitTimeSeconds: int, **_: Any) -> Any:
        if QueueUrl.endswith("dlq"):
            count = 0 if self.dlq_hidden else self.dlq(self.time)
            return {"Messages": [message(json.dumps({"id": f"d{n}", "timestamp": NOW}), 4) for n in range(count)]}
        self.time += WaitTimeSeconds
        found, self.messages = self.messages, []
        return {"Messages": found}

    def _give_back(self, *, Entries: list[dict[str, Any]], **_: Any) -> Any:
        self.given_back += Entries
        return {}

    def _send(self, *, Entries: list[dict[str, Any]], **_: Any) -> Any:
        self.sent += [entry["MessageBody"] for entry in Entries]
        return {"Successful": [{"Id": entry["Id"], "MessageId": "new"} for entry in Entries]}

    def _delete(self, *, Entries: list[dict[str, Any]], **_: Any) -> Any:
        self.deleted += [entry["ReceiptHandle"] for entry in Entries]
        return {}

    def _log(self, **_: Any) -> Any:
        return {"events": [{"timestamp": NOW, "message": "{}", "eventId": str(n)} for n in range(self.requests)]}

    def _objects(self, **_: Any) -> Any:
        now = datetime.now(UTC)
        key = f"raw/{now:%Y/%m/%d/%H}/a.ndjson.gz"
        return {"Contents": [{"Key": key, "Size": 1, "LastModified": now}]} if self.raw else {}

    def _archive(self) -> bytes:
        at = int(datetime.now(UTC).timestamp() * 1000) + 1000
        lines = [
            json.dumps({"id": i, "timestamp": NOW, "source": "api", "received_at": at, "body": "{}"}) for i in self.raw
        ]
        return gzip.compress("".join(f"{line}\n" for line in lines).encode())

    def _items(self, *, RequestItems: Any, **_: Any) -> Any:
        ids = [key["id"]["S"] for key in RequestItems["table"]["Keys"]]
        found = [{"id": i, "timestamp": NOW, "status": "processed", **self.table[i]} for i in ids if i in self.table]
        return {"Responses": {"table": [{k: attributes.pack(v) for k, v in one.items()} for one in found]}}


def spelled(method: str) -> str:
    """A method's key, however its slashes are written."""
    return method.replace("~1", "/").lstrip("/")


def limits(rate: float, burst: int) -> dict[str, Any]:
    return {"throttlingRateLimit": rate, "throttlingBurstLimit": burst}


def message(body: str, receives: int) -> dict[str, Any]:
    return {
        "MessageId": body,
        "ReceiptHandle": f"receipt of {body}",
        "Body": body,
        "Attributes": {"ApproximateReceiveCount": str(receives), "SentTimestamp": "1"},
    }


def drained(world: World, *, pace: Pace = PACE, timeout_s: float = 900.0) -> Drained:
    aws = world.aws()
    drain = Drain(
        aws,
        OUTPUTS,
        NAMES,
        Intake(aws, OUTPUTS),
        world.switch,
        timeout_s,
        pace,
        clock=Clock(lambda: world.time, world.sleep, world.wait),
    )
    steps = drain.steps()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Drained = end.value
            return result


def test_one_count_of_zero_does_not_mean_an_empty_queue() -> None:
    # Given counts that are 0 for a moment now and then, as SQS's lagging ones are, until 300 s have gone by
    world = World(depths=lambda now: 0 if now > 300 or int(now) % 50 < 15 else 3)
    # When the queue is drained
    done = drained(world)
    # Then only the long silence counts, and it was as long as it has to be
    assert world.time >= 300 + PACE.calm_s
    assert done.empty_s >= PACE.calm_s
    assert world.switched == [False]


def test_on_aws_the_counts_must_be_zero_for_the_documented_time() -> None:
    """`at least 1 minute` (GetQueueAttributes), `several minutes` (confirming that a queue is empty)."""
    assert AWS.calm_s >= 120 and AWS.receive_s == 20


def test_a_message_of_the_last_receive_is_processed_before_the_deletion() -> None:
    # Given counts of 0 though there is a message
    world = World(messages=[message("late", 1)])
    # When the queue is drained
    drained(world)
    # Then the message is given back at once, the event source enabled again, and the wait starts anew
    assert [entry["VisibilityTimeout"] for entry in world.given_back] == [0]
    assert world.switched == [False, True, False]
    assert world.time >= 2 * PACE.calm_s


def test_a_message_whose_last_attempt_was_the_last_receive_gets_another() -> None:
    # Given a message that SQS would move to the dead-letter queue at its next receive
    world = World(messages=[message("spent", 3), message("fresh", 1)])
    drained(world)
    # Then it is in the queue anew, and the other one was given back
    assert (world.sent, world.deleted) == (["spent"], ["receipt of spent"])
    assert [entry["ReceiptHandle"] for entry in world.given_back] == ["receipt of fresh"]


def test_the_drain_waits_for_messages_in_flight_after_the_event_source_is_disabled() -> None:
    # Given a message that is counted only once the event source has stopped
    world = World()
    world.depths = lambda _: int(world.switched == [False])
    drained(world)
    assert world.switched == [False, True, False]


def test_the_drain_waits_for_requests_from_before_the_intake_was_closed() -> None:
    # Given an empty queue, and a processor that may run for 30 s and queue its event then
    world = World()
    quick = Pace(poll_s=1.0, calm_s=2.0, receive_s=1, closing=Observation(1, 0.0, 0.0))
    drained(world, pace=quick)
    # Then it is not believed before API Gateway has given up on each of them
    assert world.time >= 29


def test_the_timeout_names_what_is_left() -> None:
    world = World(depths=lambda _: 7)
    with pytest.raises(WaitTimeoutError) as caught:
        drained(world, timeout_s=30)
    assert "the queue holds 7 messages (7 in flight). Nothing was deleted" in caught.value.message
    assert "--timeout" in caught.value.hint and caught.value.exit_code == 6


def test_the_drain_waits_for_events_that_are_still_processed() -> None:
    # Given an asynchronous invocation that failed, so that Lambda will try it again though no queue holds it
    world = World(raw=["a"], table={"a": {"status": "failed"}})
    with pytest.raises(WaitTimeoutError, match="1 event still being processed: a"):
        drained(world)
    # And one that is being processed for the last time, whose record says dead already
    lease = int(datetime.now(UTC).timestamp() * 1000) + 3_600_000
    world = World(raw=["a"], table={"a": {"status": "dead", "lease_until": lease}})
    with pytest.raises(WaitTimeoutError, match="still being processed"):
        drained(world)


def test_an_event_without_a_record_stops_the_deletion() -> None:
    world = World(raw=["a", "b"], table={"a": {}})
    with pytest.raises(RtpError, match="1 event received during the drain has no record: b") as caught:
        drained(world)
    assert caught.value.code == "no-record"


def test_the_accounting_counts_requests_events_and_records() -> None:
    table: dict[str, dict[str, Any]] = {"a": {}, "b": {"status": "dead"}}
    dead = {f"d{n}": {"status": "dead", "attempt_count": 4} for n in range(2)}
    world = World(raw=["a", "b", "a"], table=table | dead, requests=5)
    world.dlq = lambda now: 2 if now > 10 else 1
    done = drained(world)
    assert (done.accepted, done.received, done.recorded) == (5, 2, 2)
    assert done.by_status == {"processed": 1, "dead": 1}
    assert (done.dlq, done.dlq_new) == (2, 1)
    assert done.unchecked == ()
    # And messages that another receiver hides are not taken for ones that do not exist
    world = World(raw=["a"], table={"a": {}}, dlq_hidden=True)
    world.dlq = lambda now: 2 if now > 10 else 0
    (unchecked,) = drained(world).unchecked
    assert unchecked.endswith("have records: another receiver hides 2 of its messages")


def test_the_summary_has_only_what_was_read() -> None:
    full = Drained(37, 412, 412, {"dead": 2, "processed": 410}, 3, 2, 181.0, 240.0)
    assert drawn(full) == (
        "drained: the queue stayed empty for 181 s, and a last receive found nothing "
        "accepted: 37 requests of clients since the intake began to close, by the access log "
        "records: each of the 412 events that the functions received since then has its record: 410 processed, 2 dead "
        "DLQ: 3 messages, 2 of them new, deleted with the stack"
    )
    partly = Drained(None, None, None, {}, None, None, 181.0, 240.0, ("accepted requests: not allowed",))
    assert drawn(partly) == (
        "drained: the queue stayed empty for 181 s, and a last receive found nothing "
        "not checked: accepted requests: not allowed"
    )


def drawn(found: Drained) -> str:
    said = io.StringIO()
    Output(stderr=said).say(*drained_views(found))
    return " ".join(said.getvalue().split())


def test_an_unreadable_count_is_reported_as_not_checked() -> None:
    world = World(raw=["a"], table={"a": {}}, denied=frozenset({"filter_log_events", "list_objects_v2"}))
    done = drained(world)
    assert (done.accepted, done.received, done.recorded) == (None, None, None)
    assert done.unchecked == (
        "accepted requests: not allowed to filter_log_events",
        "records of received events: not allowed to list_objects_v2",
    )


def test_requests_to_an_api_without_an_access_log_are_not_checked() -> None:
    # Given api_logs = false, and the empty log group of a time before
    done = drained(World(raw=["a"], table={"a": {}}, is_logged=False))
    assert (done.accepted, done.received) == (None, 1)
    assert done.unchecked == ("accepted requests: the API writes no access log (api_logs = false)",)


def test_an_intake_that_somebody_opens_meanwhile_stops_the_deletion() -> None:
    # Given a deploy elsewhere, which opens the intake while the queue is drained
    world = World()

    def depth(now: float) -> int:
        if 20 < now < 30:
            list(reopened(world.aws(), OUTPUTS, Settings()))
        return 0

    world.depths = depth
    with pytest.raises(RefusedError, match="nothing was deleted"):
        drained(world)


@pytest.mark.parametrize(
    "settings",
    [
        {"*/*": limits(1000.0, 2000)},
        {"*/*": limits(-1.0, -1), "~1events/POST": limits(7.5, 3)},
        {"/events/POST": limits(7.5, 3)},
        {},
    ],
)
def test_the_intake_is_closed_for_every_method_and_opened_exactly_as_it_was(settings: dict[str, Any]) -> None:
    world = World(settings=json.loads(json.dumps(settings)))
    door = Intake(world.aws(), OUTPUTS)
    # When it is closed / Then no method lets anything through, and who did it is noted
    list(door.close())
    assert {tuple(one.values()) for one in world.settings.values()} == {(0.0, 0.0)}
    assert "*/*" in world.settings
    assert "was closed by `rtp destroy --drain` of " in noticed(world.aws(), OUTPUTS)
    # When it is opened / Then all is as before
    door.open_again()
    assert (world.settings, world.variables, door.state) == (settings, {}, IntakeState.REOPENED)
    assert noticed(world.aws(), OUTPUTS) == ""


def test_a_drain_that_takes_over_from_a_killed_one_opens_it_as_it_was_before_that() -> None:
    # Given an intake that was closed by a drain which was killed
    world = World()
    list(Intake(world.aws(), OUTPUTS).close())
    # When another drain closes it and is interrupted
    door = Intake(world.aws(), OUTPUTS)
    (warning,) = door.close()
    door.open_again()
    # Then that is said, and the limits are those from before both
    assert "takes over" in warning.message
    assert world.settings == {"*/*": limits(1000.0, 2000)} and not world.variables


def test_a_drain_does_not_open_an_intake_that_another_drain_took_over() -> None:
    world = World()
    first, second = Intake(world.aws(), OUTPUTS), Intake(world.aws(), OUTPUTS)
    list(first.close())
    list(second.close())
    with pytest.raises(RefusedError):
        first.check()
    first.open_again()
    assert first.state is IntakeState.CLOSED and world.settings == {"*/*": limits(0.0, 0)}
    second.check()


def test_a_deploy_opens_what_a_killed_drain_left_closed() -> None:
    # Given an intake closed by a drain, and one whose mark somebody has deleted
    for forget in (False, True):
        world = World(settings={"*/*": limits(50.0, 60)})
        list(Intake(world.aws(), OUTPUTS).close())
        if forget:
            world.variables.clear()
        # When it is deployed / Then it is open again: as it was, or else as the settings say
        (warning,) = reopened(world.aws(), OUTPUTS, Settings())
        assert isinstance(warning, Warn) and "it is open again" in warning.message
        assert world.settings == {"*/*": limits(1000.0, 2000) if forget else limits(50.0, 60)}
        # And another deploy has nothing to say
        assert not list(reopened(world.aws(), OUTPUTS, Settings()))


def test_a_throttle_that_a_deploy_has_changed_is_not_restored() -> None:
    # Given an intake that was closed, and an update of the stage since
    world = World()
    list(Intake(world.aws(), OUTPUTS).close())
    world.settings = {"*/*": limits(5.0, 6)}
    list(reopened(world.aws(), OUTPUTS, Settings()))
    assert world.settings == {"*/*": limits(5.0, 6)} and not world.variables


def test_a_deploy_without_permission_to_read_the_intake_continues() -> None:
    assert not list(reopened(World(denied=frozenset({"get_stage"})).aws(), OUTPUTS, Settings()))


def answer(status: int, retry_after: float | None = None) -> Answer:
    return Answer(status, {}, 1.0, retry_after)


def observe(answers: list[Answer | EndpointError]) -> tuple[list[str], int]:
    """What is said of a closing that is observed by these answers, the last of them for ever; how many were asked."""
    world, asked = World(), 0
    door = Intake(world.aws(), OUTPUTS)
    list(door.close())

    def ask() -> Answer:
        nonlocal asked
        found = answers[min(asked, len(answers) - 1)]
        asked += 1
        if isinstance(found, EndpointError):
            raise found
        return found

    wanted = Observation(times=3, pause_s=1.0, within_s=20.0)
    said = list(door.observe(wanted, ask=ask, clock=Clock(lambda: world.time, world.sleep)))
    return [warning.message for warning in said], asked


def test_the_intake_is_closed_once_the_api_refuses_several_requests_in_a_row() -> None:
    # One refusal alone may be another limit, or one of the gateway's servers
    assert observe([answer(400), answer(429, 1), answer(400), answer(429, 1)]) == ([], 6)


def test_an_api_that_still_accepts_requests_stops_the_drain() -> None:
    with pytest.raises(WaitTimeoutError, match="still takes requests 20 s after"):
        observe([answer(429, 1), answer(400)])


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (answer(429, 60), "quota"),
        (answer(403), "HTTP 403"),
        (EndpointError("Nothing answered at https://x."), "Nothing answered at https://x."),
    ],
)
def test_a_closing_that_cannot_be_observed_is_reported_after_a_minute(found: Answer | EndpointError, why: str) -> None:
    (said,), _ = observe([found])
    assert "could not be confirmed 20 s after" in said and why in said
