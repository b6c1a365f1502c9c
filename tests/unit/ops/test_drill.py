"""What a drill expects by the settings, and how it counts and reports alarms."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import Aws
from rtp.aws.alarms import StateChange
from rtp.config.environments import resolve
from rtp.config.settings import Settings
from rtp.contract import Alarm, Names
from rtp.errors import AwsError
from rtp.ops.dlq.target import Target
from rtp.ops.drill import faults, report
from rtp.ops.drill import run as run_of
from rtp.ops.drill.faults import Fault
from rtp.ops.drill.report import Drill, DrillAlarm, Ledger, Removed
from rtp.ops.drill.watch import Watch
from rtp.ops.work.pool import Stop
from rtp.runtime import wire
from tests.clocks import FakeClock
from tests.unit.ops.fakes import OUTPUTS, QUEUE, FakeAws, MemoryJournals, result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rtp.config import Environment

SETTINGS = Settings()
NOW_MS = 1_769_860_800_000
NAMES = Names("shop", "dev")


def plan(fault: Fault, count: int, *, timeout_s: float = 600, local: bool = False, **changed: Any) -> faults.Plan:
    return faults.plan(fault, count, replace_settings(changed), local=local, timeout_s=timeout_s)


def replace_settings(changed: dict[str, Any]) -> Settings:
    import msgspec

    return msgspec.structs.replace(SETTINGS, **changed)


def test_the_faults_are_those_that_the_functions_know() -> None:
    assert {fault.value for fault in Fault} == set(wire.FAULTS)


@pytest.mark.parametrize(
    ("fault", "count", "alarms"),
    [
        (Fault.POISON, 4, {Alarm.DLQ_MESSAGES}),
        (Fault.POISON, 5, {Alarm.DLQ_MESSAGES, Alarm.WORKER_FAILURES}),
        (Fault.THROTTLE, 4, set()),
        (Fault.THROTTLE, 5, {Alarm.WORKER_FAILURES}),
        (Fault.BLOCKED, 40, set()),
        (Fault.BLOCKED, 41, {Alarm.WORKER_FAILURES}),
        (Fault.SLOW, 1, {Alarm.LAMBDA_DURATION}),
        (Fault.FLOOD, 10_000, set()),
        (Fault.DUPLICATE, 10_000, set()),
    ],
)
def test_an_alarm_is_expected_where_its_threshold_is_reached_for_sure(
    fault: Fault, count: int, alarms: set[Alarm]
) -> None:
    assert plan(fault, count).alarms == alarms


@pytest.mark.parametrize("changed", [{"local": True}, {"timeout_s": 399}, {"alarm_duration_ms": 25_000}], ids=str)
def test_the_alarm_of_slow_functions_is_not_expected_where_it_cannot_be_reached(changed: dict[str, Any]) -> None:
    slow = plan(Fault.SLOW, 9, **changed)

    assert (slow.alarms, slow.spread_s) == (frozenset(), 0)
    assert {each["seconds"] for each in slow.data} <= {21.0, 24.0}  # within 80 % of the function's 30 s


def test_one_in_ten_events_blocks_and_only_duplicates_have_two_messages() -> None:
    assert sum(each.get("blocks", False) for each in plan(Fault.BLOCKED, 21).data) == 3
    assert {fault: plan(fault, 1).copies for fault in Fault if plan(fault, 1).copies > 1} == {Fault.DUPLICATE: 2}


class Cloud(Aws):
    """CloudWatch with alarms that fire at the second look; `down`: no call is answered."""

    def __init__(self, *states: dict[str, str], down: bool = False) -> None:
        super().__init__(region="eu-west-1")
        self._states = [*states]
        self._down = down
        self.changes: list[StateChange] = []

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Any]:
        assert (service, key) in (("cloudwatch", "MetricAlarms"), ("cloudwatch", "AlarmHistoryItems"))
        if self._down:
            raise AwsError("CloudWatch does not answer.", service_code="InternalFailure")
        if operation == "describe_alarms":
            states = self._states.pop(0) if len(self._states) > 1 else self._states[0]
            for name in params["AlarmNames"]:
                state = states.get(name.removeprefix("shop-dev-"), "OK")
                yield {"AlarmName": name, "StateValue": state, "StateTransitionedTimestamp": at(30)}
        for change in self.changes:
            if change.alarm == params.get("AlarmName"):
                data = f'{{"oldState": {{"stateValue": "OK"}}, "newState": {{"stateValue": "{change.after}"}}}}'
                yield {"AlarmName": change.alarm, "Timestamp": change.at, "HistoryData": data}


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(NOW_MS / 1000 + seconds, UTC)


def watched(aws: Cloud, *expected: Alarm, seconds: float = 100) -> tuple[Watch, FakeClock]:
    watch, clock = Watch(aws, NAMES, frozenset(expected), since_ms=NOW_MS), FakeClock()
    assert list(watch.wait(seconds, stop=Stop(), clock=clock.clock))
    return watch, clock


def test_expected_alarms_are_waited_for_and_timed_from_the_first_message() -> None:
    watch, clock = watched(Cloud({}, {}, {"dlq-messages": "ALARM"}), Alarm.DLQ_MESSAGES)

    assert clock.now == 10
    assert watch.result() == [DrillAlarm("dlq-messages", True, "fired", "2026-01-31T12:00:30.000Z", 30.0)]


def test_an_alarm_that_fired_before_proves_nothing_and_is_not_waited_for() -> None:
    watch, clock = watched(Cloud({"dlq-messages": "ALARM"}), Alarm.DLQ_MESSAGES)

    assert clock.now == 0
    assert watch.result() == [DrillAlarm("dlq-messages", True, "before")]


def test_alarms_that_do_not_fire_are_silent_and_others_are_shown() -> None:
    aws = Cloud({})
    aws.changes = [StateChange("shop-dev-lambda-errors", at(9), "OK", "ALARM", "")]

    watch, clock = watched(aws, Alarm.DLQ_MESSAGES, seconds=25)

    assert clock.now == 25
    assert watch.result() == [
        DrillAlarm("lambda-errors", False, "fired", "2026-01-31T12:00:09.000Z", 9.0),
        DrillAlarm("dlq-messages", True, "silent"),
    ]


def test_alarms_that_cannot_be_read_are_a_note() -> None:
    watch, _ = watched(Cloud({}, down=True), Alarm.DLQ_MESSAGES, seconds=25)

    watch.result()
    assert watch.notes == ["the alarms could not be read: CloudWatch does not answer."]


def attempted(*outcomes: str, **more: Any) -> dict[str, Any]:
    return {"attempts": [{"n": n, "outcome": outcome} for n, outcome in enumerate(outcomes, 1)], **more}


def test_an_event_is_doubled_if_two_attempts_processed_it() -> None:
    assert [report.doubled(attempted(*each)) for each in (["failed", "processed"], ["processed"] * 2, [])] == [
        False,
        True,
        False,
    ]


FINE = Drill(
    run="r", fault="poison", count=3, expected="dead", ledger=Ledger(3, 0, 0, 3, 0, 0, 0), ends=[], first_end_s=None,
    last_end_s=None, alarms=[DrillAlarm("dlq-messages", True, "before")], removed=Removed(), stays=[],
)  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "is_late", "is_as_expected"),
    [
        ({}, False, True),
        ({"alarms": [DrillAlarm("dlq-messages", True, "silent")]}, False, False),
        ({"expected": "processed"}, False, False),
        ({"ledger": Ledger(3, 0, 0, 2, 1, 0, 0)}, True, False),
        ({"ledger": Ledger(3, 0, 0, 2, 0, 1, 0)}, False, False),
        ({"ledger": Ledger(3, 0, 0, 3, 0, 0, 1)}, False, False),
        ({"ledger": Ledger(2, 1, 0, 2, 0, 0, 0)}, False, False),
    ],
    ids=["fine", "silent alarm", "other end", "late", "lost", "doubled", "unsent"],
)
def test_the_verdict_of_a_drill(changed: dict[str, Any], is_late: bool, is_as_expected: bool) -> None:
    found = replace(FINE, **changed)
    assert (found.is_late, found.is_as_expected) == (is_late, is_as_expected)


class Pipeline(FakeAws):
    """A queue whose messages are processed at once, and no alarms."""

    def _send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        answer = super()._send_message_batch(QueueUrl, Entries)
        for held in self.queues[QUEUE]:
            event = json.loads(held.body)
            assert held.attributes[wire.DRILL_RUN]["StringValue"] == event["data"]["run"]
            attempt = {"n": 1, "at": event["timestamp"] + 500, "duration_ms": 1500, "outcome": "processed"}
            self.record(
                event["id"], event["timestamp"], type=event["type"], status="processed", attempt_count=1,
                attempts=[attempt],
            )  # fmt: skip
        self.queues[QUEUE].clear()
        return answer

    def _delete_item(self, Key: dict[str, Any], ExpressionAttributeValues: dict[str, Any], **_: Any) -> dict[str, Any]:
        assert ExpressionAttributeValues == {":type": {"S": wire.DRILL}}
        if self.items.pop((Key["id"]["S"], Key["timestamp"]["N"]), None) is None:
            raise AwsError("no such item", service_code="ConditionalCheckFailedException")
        return {}

    def _delete_objects(self, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:
        for each in Delete["Objects"]:
            del self.objects[each["Key"]]
        return {}

    def _describe_alarms(self, **_: Any) -> dict[str, Any]:
        return {"MetricAlarms": []}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return resolve(cwd=tmp_path, environ={})


def target(aws: FakeAws) -> Target:
    return Target(aws=aws, outputs=OUTPUTS, stack="shop-local", account="1", journals=MemoryJournals())


def drilled(aws: FakeAws, environment: Environment, fault: Fault = Fault.FLOOD, count: int = 25) -> Drill:
    request = run_of.DrillRequest(fault=fault, count=count, timeout_s=60)
    drills = MemoryJournals()
    return result(run_of.drill(target(aws), environment, request, drills=drills, stop=Stop(), clock=aws.clock))


@pytest.mark.parametrize("fault", [Fault.FLOOD, Fault.DUPLICATE])
def test_each_event_is_followed_to_its_end_and_its_record_is_removed(environment: Environment, fault: Fault) -> None:
    aws = Pipeline()
    aws.record("order", 1, type="order.created", status="processed")

    found = drilled(aws, environment, fault)

    assert found.ledger == Ledger(25, 0, 25, 0, 0, 0, 0)
    assert (found.first_end_s, found.last_end_s, found.is_as_expected) == (2.0, 2.0, True)
    assert aws.items.keys() == {("order", "1")}
    assert (found.removed.records, found.notes) == (25, [])


class Stuck(Pipeline):
    """A queue whose messages nobody receives; its approximate number shows them late, or never where they are lost."""

    def __init__(self, *, shown_after_s: float) -> None:
        super().__init__()
        self.shown_at = self.now + 60 + shown_after_s  # the drill's own time is over after 60 s

    def _send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        return FakeAws._send_message_batch(self, QueueUrl, Entries)

    def _get_queue_attributes(self, QueueUrl: str, **params: Any) -> dict[str, Any]:
        self.uncounted = 0 if self.now >= self.shown_at else 1_000
        return super()._get_queue_attributes(QueueUrl, **params)


@pytest.mark.parametrize(("shown_after_s", "waiting", "lost"), [(0, 25, 0), (4, 25, 0), (99, 0, 25)])
def test_an_event_is_lost_only_where_its_queue_stays_empty(
    environment: Environment, shown_after_s: float, waiting: int, lost: int
) -> None:
    found = drilled(Stuck(shown_after_s=shown_after_s), environment)

    assert found.ledger == Ledger(25, 0, 0, 0, waiting, lost, 0)
    assert found.is_late == (lost == 0)


def test_records_whose_deletion_was_repeated_after_a_lost_answer_are_counted(environment: Environment) -> None:
    aws, lost = Pipeline(), [1]

    def fault(operation: str, when: str) -> None:
        if operation == "delete_item" and when == "after" and lost:
            lost.pop()
            raise AwsError("no such item", service_code="ConditionalCheckFailedException")

    aws.fault = fault
    found = drilled(aws, environment)

    assert (found.removed.records, aws.items) == (25, {})


def test_a_read_that_fails_for_a_moment_ends_no_drill(environment: Environment) -> None:
    aws, failures = Pipeline(), [1, 1, 1]

    def fault(operation: str, when: str) -> None:
        if operation == "batch_get_item" and when == "before" and failures:
            failures.pop()
            raise AwsError("DynamoDB throttles.", code="throttled")

    aws.fault = fault
    found = drilled(aws, environment)

    assert found.ledger.processed == 25
    assert found.notes == ["records could not be read: DynamoDB throttles."]


@pytest.mark.parametrize(
    ("operation", "note"),
    [
        ("delete_item", "records could not be removed: denied"),
        ("list_objects_v2", "objects could not be removed: denied"),
        ("describe_alarms", "the alarms could not be read: denied"),
    ],
)
def test_what_is_denied_is_a_note_and_the_rest_is_done(environment: Environment, operation: str, note: str) -> None:
    aws = Pipeline()

    def fault(called: str, _when: str) -> None:
        if called == operation:
            raise AwsError("denied", service_code="AccessDeniedException")

    aws.fault = fault
    found = drilled(aws, environment)

    assert found.ledger.processed == 25
    assert found.notes == [note]


def test_what_cannot_be_sent_is_in_the_ledger(environment: Environment) -> None:
    aws = Pipeline()
    calls: list[str] = []

    def fault(operation: str, when: str) -> None:
        if operation == "send_message_batch" and when == "before":
            calls.append(operation)
            if len(calls) == 2:
                raise AwsError("SQS refuses.", service_code="KmsAccessDenied")

    aws.fault = fault
    found = drilled(aws, environment)

    assert found.ledger.unsent in (5, 10)
    assert found.ledger.processed == found.ledger.sent == 25 - found.ledger.unsent
    assert found.notes == ["messages were not sent: SQS refuses."]
    assert not found.is_as_expected and not aws.items


def test_objects_of_others_and_damaged_ones_stay(environment: Environment) -> None:
    aws = Pipeline()
    hour = f"{datetime.now(UTC):%Y/%m/%d/%H}"
    aws.objects[f"raw/{hour}/others.ndjson.gz"] = gzip.compress(b'{"id": "order"}\n')
    aws.objects[f"raw/{hour}/damaged.ndjson.gz"] = b"damaged"
    kept = set(aws.objects)

    found = drilled(aws, environment)

    assert kept <= aws.objects.keys()
    assert (found.removed.objects, found.removed.shared_objects) == (0, 0)
