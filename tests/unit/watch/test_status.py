"""Status: read side by side, honest about what it could not read, and calm when all is well."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.commands.render import status as render_status
from rtp.config import Environment
from rtp.config.settings import Settings
from rtp.contract import Alarm, Output
from rtp.errors import AwsError, MissingError, NotFoundError
from rtp.ops.telemetry import alarms, status
from rtp.terminal.output import Output as Out
from rtp.text import json_values
from tests.unit.watch.hostile import PAYLOADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws

NOW = 1_800_000_000_000
WHEN = datetime.fromtimestamp(NOW / 1000 - 300, UTC)
ENV = Environment(name="dev", root=Path("/nowhere"), project="shop")
OUTPUTS = {o.value: f"the-{o.value}" for o in Output} | {
    Output.KEY_ARN: "arn:aws-cn:kms:eu-west-1:111122223333:key/k",
    Output.API_URL: "https://a.example/prod/",
    Output.PROCESSOR: "shop-dev-processor",
    Output.WORKER: "shop-dev-worker",
    Output.VERSION: "1.2.3",
}


class FakeAws:
    """Answers by operation; each may be a value, an exception or a function of the parameters."""

    def __init__(self, **changes: Any) -> None:
        self.local = False
        self.region = "eu-west-1"
        self.endpoint_url = None
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {
            "describe_stacks": {"Stacks": [stack()]},
            "get_queue_attributes": {"Attributes": {"ApproximateNumberOfMessages": "0"}},
            "get_metric_data": lambda p: [
                {"Id": q["Id"], "Values": [series(q)] if series(q) is not None else []} for q in p["MetricDataQueries"]
            ],
            "describe_alarms": lambda p: [alarm(name) for name in p["AlarmNames"]],
            "list_event_source_mappings": [{"UUID": "u", "State": "Enabled", "BatchSize": 10}],
            "get_function_configuration": lambda p: {"FunctionName": p["FunctionName"], "State": "Active"},
            "get_usage_plan": {"quota": {"limit": 10_000, "period": "DAY"}},
            "get_usage": {"startDate": "2027-01-15", "items": {OUTPUTS[Output.API_KEY_ID]: [[400, 9_600]]}},
            "get_stage": {"methodSettings": {"*/*": {"throttlingRateLimit": 1000.0, "throttlingBurstLimit": 2000}}},
            "lookup_events": [{"EventName": "ExecuteChangeSet", "Username": "alice"}],
            "query": [],
            "get_api_keys": [],
            "list_stack_resources": [],
        } | changes

    def call(self, _service: str, operation: str, **params: Any) -> Any:
        """As Aws.call."""
        self.asked.append((operation, params))
        answer = self.answers[operation]
        if isinstance(answer, Exception):
            raise answer
        return answer(params) if callable(answer) else answer

    def pages(self, service: str, operation: str, _key: str, **params: Any) -> Iterator[Any]:
        """As Aws.pages."""
        yield from self.call(service, operation, **params)

    def connect(self, *_services: str) -> None:
        """As Aws.connect."""


def stack(**changes: Any) -> dict[str, Any]:
    return {
        "StackName": "shop-dev",
        "StackStatus": "UPDATE_COMPLETE",
        "CreationTime": WHEN,
        "LastUpdatedTime": WHEN,
        "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in OUTPUTS.items()],
        "Tags": [{"Key": "Project", "Value": "shop"}, {"Key": "Environment", "Value": "dev"}],
    } | changes


def alarm(name: str, state: str = "OK", reason: str = "fine") -> dict[str, Any]:
    return {"AlarmName": name, "StateValue": state, "StateReason": reason, "StateTransitionedTimestamp": WHEN}


def series(query: dict[str, Any]) -> float | None:
    metric = query["MetricStat"]
    return {"Count": 120.0, "4XXError": 3.0, "Latency": {"p50": 12.3456, "p95": 98.7}.get(metric["Stat"])}.get(
        metric["Metric"]["MetricName"], 0.0
    )


def read(fake: FakeAws, environment: Environment = ENV) -> status.Status:
    return status.read(cast("Aws", fake), environment, now=NOW)


def drawn(found: status.Status) -> str:
    out = io.StringIO()
    Out(stdout=out).show(render_status.elements(found, now=NOW))
    return out.getvalue()


def dlq(depth: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda p: {
        "Attributes": {"ApproximateNumberOfMessages": str(depth) if p["QueueUrl"] == OUTPUTS[Output.DLQ_URL] else "0"}
    }


def test_a_secret_without_a_value_is_a_problem() -> None:
    settings = Settings(secrets={"TOKEN": "ssm:/shop/dev/TOKEN", "OTHER": "ssm:/shop/dev/OTHER"})
    stored = [{"Name": "/shop/dev/OTHER", "Type": "SecureString"}]

    found = read(FakeAws(describe_parameters=stored), replace(ENV, settings=settings))

    assert found.problems == ["the secret TOKEN has no value; `rtp secrets list` says how to set it"]


def test_an_idle_pipeline_is_healthy() -> None:
    found = read(FakeAws())

    assert (found.healthy, found.problems, found.unread) == (True, [], [])
    assert (found.stack.deployed_by, found.stack.version, found.stack.state) == ("alice", "1.2.3", "UPDATE_COMPLETE")
    assert found.endpoints == {"process": "https://a.example/prod/process", "events": "https://a.example/prod/events"}
    assert found.last_hour is not None
    assert (found.last_hour.requests, found.last_hour.errors_4xx, found.last_hour.p50_ms) == (120, 3, 12.3)
    assert found.quota is not None
    assert found.quota.left == 9_600
    assert len(found.alarms) == len(Alarm)


def test_a_closed_intake_is_a_problem_that_names_the_command_to_open_it() -> None:
    # Given a stage whose throttle is 0, as a killed drain leaves it
    stage = {"methodSettings": {"*/*": {"throttlingRateLimit": 0.0, "throttlingBurstLimit": 0}}}
    found = read(FakeAws(get_stage=stage))
    assert found.problems == ["the API's intake refuses every request: its throttle is 0; `rtp deploy` opens it"]


def test_the_json_is_pinned() -> None:
    document = json.loads(json_values.dumps(read(FakeAws())))

    assert {"env", "stack", "endpoints", "queues", "alarms", "healthy"} <= document.keys()
    assert document["queues"]["dlq"] == {
        "name": "shop-dev-dlq", "depth": 0, "visible": 0, "in_flight": 0, "delayed": 0, "oldest_s": 0,
    }  # fmt: skip
    assert {"name", "state", "reason", "since"} <= document["alarms"][0].keys()


def test_only_the_alarms_of_this_environment_are_requested() -> None:
    """`shop-dev-2` begins like `shop-dev`."""
    fake = FakeAws()

    read(fake)

    asked = next(p for o, p in fake.asked if o == "describe_alarms")
    assert set(asked["AlarmNames"]) == {f"shop-dev-{a.value}" for a in Alarm}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"describe_stacks": {"Stacks": [stack(StackStatus="UPDATE_ROLLBACK_FAILED")]}}, "UPDATE_ROLLBACK_FAILED"),
        ({"get_queue_attributes": dlq(3)}, "3 messages in the DLQ; see `rtp dlq inspect`"),
        ({"list_event_source_mappings": [{"State": "Disabled"}]}, "event source is Disabled"),
        ({"list_event_source_mappings": []}, "event source is missing"),
        ({"get_function_configuration": {"State": "Failed", "StateReason": "no key"}}, "is Failed: no key"),
        ({"get_function_configuration": {"State": "Active", "LastUpdateStatus": "Failed"}}, "last update of"),
        ({"describe_alarms": [alarm("shop-dev-api-5xx", "ALARM", "8 > 1")]}, "alarm api-5xx: 8 > 1"),
        ({"get_usage": {"startDate": "x", "items": {OUTPUTS[Output.API_KEY_ID]: [[9_900, 100]]}}}, "100 of 10,000"),
        ({"describe_alarms": AwsError("cloudwatch: denied")}, "alarms could not be read"),
        ({"list_event_source_mappings": AwsError("lambda: denied")}, "event source could not be read"),
    ],
)
def test_problems_are_shown_first(changes: dict[str, Any], problem: str) -> None:
    found = read(FakeAws(**changes))

    assert not found.healthy
    assert any(problem in p for p in found.problems), found.problems
    assert "not healthy" in drawn(found).splitlines()[0]


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        ("get_usage_plan", "quota"),
        ("lookup_events", "last deploy"),
        ("query", "dead records"),
        ("get_metric_data", "metrics"),
    ],
)
def test_a_denied_part_is_reported_and_the_others_are_shown(operation: str, part: str) -> None:
    found = read(FakeAws(**{operation: AwsError("not allowed", code="access-denied")}))

    assert found.healthy
    assert [(u.part, u.message) for u in found.unread] == [(part, "not allowed")]
    assert f"not read: {part} not allowed" in drawn(found)


@pytest.mark.parametrize(("days", "is_problem"), [(8, True), (6, False)])
def test_a_rotation_that_nobody_finishes_is_a_problem_after_a_week(days: int, is_problem: bool) -> None:
    tags = {"Project": ENV.project, "Environment": ENV.name, "ManagedBy": "CDK", "rtp:key": "partner"}
    created = datetime.fromtimestamp(NOW / 1000, UTC) - timedelta(days=days)
    keys = [
        {"id": f"k{n}", "name": f"{ENV.names.stack}-key-partner.{n}", "createdDate": created, "tags": tags}
        for n in (1, 2)
    ]
    problems = read(FakeAws(get_api_keys=keys)).problems
    assert any("rotation of the key of partner" in problem for problem in problems) is is_problem


class Meeting(FakeAws):
    """Answers a part only when all the others ask too."""

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.barrier = threading.Barrier(parts, timeout=10)
        self.met: set[threading.Thread] = set()

    def call(self, _service: str, operation: str, **params: Any) -> Any:
        if operation not in ("describe_stacks", "query") and threading.current_thread() not in self.met:
            self.met.add(threading.current_thread())
            self.barrier.wait()
        return super().call(_service, operation, **params)


def test_parts_are_read_concurrently() -> None:
    assert read(Meeting(11)).healthy


def test_dead_records_are_counted_by_cause() -> None:
    def record(n: int, message: str) -> dict[str, Any]:
        error = {
            "M": {"type": {"S": "ValueError"}, "message": {"S": message}, "signature": {"S": f"ValueError: {message}"}}
        }
        return {"id": {"S": str(n)}, "timestamp": {"N": "1"}, "status": {"S": "dead"}, "error": error}

    rows = [record(n, "no total" if n % 3 else "late") for n in range(9)]

    def query(params: dict[str, Any]) -> list[dict[str, Any]]:
        return rows if params["ExpressionAttributeValues"][":s"] == {"S": "dead#0"} else []

    found = read(FakeAws(query=query))

    assert [(e.error, e.count) for e in found.dead_by_error] == [("ValueError: no total", 6), ("ValueError: late", 3)]
    assert "dead in 14 days: ValueError: no total (6)" in drawn(found)  # records, which outlive their messages


def test_the_newest_message_of_a_cause_is_shown_with_its_values() -> None:
    def record(n: int) -> dict[str, Any]:
        error = {"M": {"type": {"S": "KeyError"}, "message": {"S": f"'total{n}'"}, "signature": {"S": "KeyError: *"}}}
        return {"id": {"S": str(n)}, "timestamp": {"N": str(n)}, "status": {"S": "dead"}, "error": error}

    def query(params: dict[str, Any]) -> list[dict[str, Any]]:
        newest_first = [record(n) for n in reversed(range(3))]
        return newest_first if params["ExpressionAttributeValues"][":s"] == {"S": "dead#0"} else []

    found = read(FakeAws(query=query))

    assert [(e.error, e.newest, e.count) for e in found.dead_by_error] == [("KeyError: *", "KeyError: 'total2'", 3)]
    assert "dead in 14 days: KeyError: 'total2' (3 with similar ones)" in drawn(found)


def test_the_age_of_the_oldest_message_is_the_newest_value() -> None:
    def metrics(params: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"Id": q["Id"], "Values": [10.0, 400.0]} for q in params["MetricDataQueries"]]

    found = read(
        FakeAws(get_queue_attributes={"Attributes": {"ApproximateNumberOfMessages": "7"}}, get_metric_data=metrics)
    )

    assert found.queues["queue"].oldest_s == 400
    assert any("has been waiting for 6m40s" in p for p in found.problems)


@pytest.mark.parametrize(("depth", "is_problem"), [(4, False), (5, True), (6, True)])
def test_the_limits_of_the_alarms_are_those_of_the_problems(depth: int, is_problem: bool) -> None:
    env = replace(ENV, settings=Settings(alarm_dlq_messages=5))
    assert any("in the DLQ" in problem for problem in read(FakeAws(get_queue_attributes=dlq(depth)), env).problems) is (
        is_problem
    )


def test_the_depth_of_the_dlq_and_its_alarm_are_one_problem() -> None:
    firing = alarm("shop-dev-dlq-messages", "ALARM", "3 > 1")
    found = read(FakeAws(get_queue_attributes=dlq(3), describe_alarms=[firing])).problems
    assert [p for p in found if "DLQ" in p or "dlq" in p] == ["alarm dlq-messages: 3 > 1; see `rtp dlq inspect`"]
    # And where the queue is empty already there is nothing to inspect; another alarm leaves the depth its own line
    found = read(FakeAws(get_queue_attributes=dlq(0), describe_alarms=[firing])).problems
    assert [p for p in found if "dlq" in p] == ["alarm dlq-messages: 3 > 1"]
    other = alarm("shop-dev-api-5xx", "ALARM", "8 > 1")
    found = read(FakeAws(get_queue_attributes=dlq(3), describe_alarms=[other])).problems
    assert found[-2:] == ["3 messages in the DLQ; see `rtp dlq inspect`", "alarm api-5xx: 8 > 1"]


@pytest.mark.parametrize(("age_s", "is_problem"), [(299, False), (300, True)])
def test_a_message_that_waits_as_long_as_its_alarm_allows_is_a_problem(age_s: float, is_problem: bool) -> None:
    def metrics(params: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"Id": q["Id"], "Values": [age_s]} for q in params["MetricDataQueries"]]

    counts = {"Attributes": {"ApproximateNumberOfMessages": "1"}}
    env = replace(ENV, settings=Settings(alarm_queue_age_s=300))
    found = read(FakeAws(get_queue_attributes=counts, get_metric_data=metrics), env)
    assert any("has been waiting" in problem for problem in found.problems) is is_problem


@pytest.mark.parametrize(("used", "is_problem"), [(9_499, False), (9_500, True)])
def test_a_quota_of_which_a_twentieth_is_left_is_a_problem(used: int, is_problem: bool) -> None:
    usage = {"startDate": "x", "items": {OUTPUTS[Output.API_KEY_ID]: [[used, 10_000 - used]]}}
    assert any("of the quota" in problem for problem in read(FakeAws(get_usage=usage)).problems) is is_problem


def test_an_age_of_zero_with_messages_in_the_queue_is_unknown() -> None:
    def metrics(params: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"Id": q["Id"], "Values": [0.0]} for q in params["MetricDataQueries"]]

    found = read(
        FakeAws(get_queue_attributes={"Attributes": {"ApproximateNumberOfMessages": "7"}}, get_metric_data=metrics)
    )

    assert found.queues["dlq"].oldest_s is None


def test_a_stack_that_never_worked_is_shown_without_outputs() -> None:
    found = read(FakeAws(describe_stacks={"Stacks": [stack(StackStatus="ROLLBACK_COMPLETE", Outputs=[])]}))

    assert not found.healthy
    assert "ROLLBACK_COMPLETE" in found.problems[0]
    assert drawn(found)


def test_nothing_deployed_is_not_found() -> None:
    gone = AwsError("Stack with id shop-dev does not exist", service_code="ValidationError")
    with pytest.raises(NotFoundError, match="not deployed"):
        read(FakeAws(describe_stacks=gone))


def test_the_deployer_is_not_read_from_an_emulator() -> None:
    fake = FakeAws()
    fake.local = True

    assert read(fake).stack.deployed_by is None
    assert "lookup_events" not in [o for o, _ in fake.asked]


def test_an_unused_key_has_its_whole_quota() -> None:
    found = read(FakeAws(get_usage={"startDate": "2027-01-15", "items": {}}))

    assert found.quota is not None
    assert (found.quota.used, found.quota.left) == (0, 10_000)


def test_the_status_fits_a_small_terminal() -> None:
    text = drawn(read(FakeAws(get_queue_attributes=dlq(3))))

    assert len(text.splitlines()) <= 24
    assert max(len(row) for row in text.splitlines()) <= 80


def test_hostile_names_and_reasons_do_nothing_to_the_terminal() -> None:
    for payload in PAYLOADS:
        found = read(FakeAws(describe_alarms=[alarm(payload, "ALARM", payload)], lookup_events=AwsError(payload)))
        found = replace(found, stack=replace(found.stack, deployed_by=payload))
        assert not {c for c in drawn(found) if c < " " and c != "\n"}


def test_firing_alarms_come_first_and_the_newest_changes() -> None:
    def history(params: dict[str, Any]) -> list[dict[str, Any]]:
        data = {"oldState": {"stateValue": "OK"}, "newState": {"stateValue": "ALARM", "stateReason": "8 > 1"}}
        same = {"oldState": {"stateValue": "OK"}, "newState": {"stateValue": "OK"}}
        return [
            {"AlarmName": params["AlarmName"], "Timestamp": WHEN, "HistoryData": json.dumps(data)},
            {"AlarmName": params["AlarmName"], "Timestamp": WHEN, "HistoryData": json.dumps(same)},
            {"AlarmName": params["AlarmName"], "Timestamp": WHEN, "HistoryData": "odd"},
        ]

    firing = lambda p: [alarm(n, "ALARM" if n.endswith("api-5xx") else "OK") for n in p["AlarmNames"]]  # noqa: E731
    fake = FakeAws(describe_alarms=firing, describe_alarm_history=history)

    found = alarms.read(cast("Aws", fake), ENV.names, since=0, limit=5)

    assert found.alarms[0].name == "shop-dev-api-5xx"
    assert len(found.history) == 5
    assert (found.history[0].before, found.history[0].after, found.history[0].reason) == ("OK", "ALARM", "8 > 1")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("CREATE_COMPLETE", "deployed"),
        ("UPDATE_ROLLBACK_COMPLETE", "deployed"),
        ("ROLLBACK_COMPLETE", "rolled back"),
        ("ROLLBACK_FAILED", "failed"),
        ("CREATE_FAILED", "failed"),
    ],
)
def test_a_first_deploy_that_failed_deployed_nothing(state: str, said: str) -> None:
    shown = drawn(read(FakeAws(describe_stacks={"Stacks": [stack(StackStatus=state)]}))).splitlines()
    assert shown[1].startswith(f"{said} ")


def test_what_was_deleted_by_hand_is_named_and_its_part_is_not_named_twice() -> None:
    listed = [
        {"LogicalResourceId": "Dlq", "PhysicalResourceId": OUTPUTS[Output.DLQ_URL], "ResourceType": "AWS::SQS::Queue"}
        | {"ResourceStatus": "CREATE_COMPLETE"}
    ]

    def depth(params: dict[str, Any]) -> dict[str, Any]:
        if params["QueueUrl"] == OUTPUTS[Output.DLQ_URL]:
            raise MissingError("The queue does not exist.", service_code="AWS.SimpleQueueService.NonExistentQueue")
        return {"Attributes": {"ApproximateNumberOfMessages": "0"}}

    fake = FakeAws(list_stack_resources=listed, get_queue_attributes=depth)
    fake.local = True  # which is asked again for a shorter time

    found = read(fake)

    name = OUTPUTS[Output.DLQ_URL]
    assert found.problems == [f"the queue {name} was deleted outside CloudFormation; `rtp deploy` creates it again"]
    assert [(m.kind, m.name) for m in found.missing] == [("queue", name)]


def noted(hours_ago: float, raw_key: str = "") -> list[dict[str, Any]]:
    """The page of a query: one dead record, whose message was first sent some hours ago."""
    note = {"request_id": {"S": "r"}, "digest": {"S": "d"}, "is_sent": {"BOOL": True}}
    note["sent_at"] = {"N": str(NOW - round(hours_ago * 3_600_000))}
    key = {"id": {"S": "e1"}, "timestamp": {"N": "1"}, "status": {"S": "dead"}}
    return [{**key, "dlq_message": {"M": note}, "raw_key": {"S": raw_key}}]


def test_the_age_and_the_deadlines_of_the_dlq_count_from_when_its_messages_were_first_sent() -> None:
    # Given a message that SQS deletes in 36 hours, which was moved to the DLQ a moment ago
    records = noted(12.5 * 24)
    fake = FakeAws(get_queue_attributes=dlq(1), query=lambda p: records if "FilterExpression" in p else [])

    found = read(fake)

    assert found.queues["dlq"].oldest_s == 12.5 * 86_400
    assert found.deadlines is not None
    assert found.deadlines.first == "message"
    assert "expires  the first message in 1d12h" in drawn(found)
    (query, *_) = [p for operation, p in fake.asked if operation == "query" and "FilterExpression" in p]
    assert (query["FilterExpression"], query["ScanIndexForward"]) == ("attribute_exists(dlq_message)", True)


@pytest.mark.parametrize(("within_hours", "problems"), [(48, 1), (24, 0)])
def test_a_loss_within_the_time_asked_for_is_a_problem(within_hours: int, problems: int) -> None:
    fake = FakeAws(get_queue_attributes=dlq(1), query=lambda p: noted(12.5 * 24) if "FilterExpression" in p else [])
    environment = replace(ENV, settings=Settings(alarm_dlq_messages=10))

    found = status.read(cast("Aws", fake), environment, now=NOW, lose_within_ms=within_hours * 3_600_000)

    assert len(found.problems) == problems
    assert all("the first message in the DLQ is lost in 1d12h" in problem for problem in found.problems)
    assert found.healthy == (not problems)


def test_deadlines_that_cannot_be_read_are_a_problem_only_where_they_are_asked_for() -> None:
    def query(params: dict[str, Any]) -> list[dict[str, Any]]:
        if "FilterExpression" in params:
            raise AwsError("no")
        return []

    fake = FakeAws(get_queue_attributes=dlq(1), query=query)
    environment = replace(ENV, settings=Settings(alarm_dlq_messages=10))

    assert status.read(cast("Aws", fake), environment, now=NOW).healthy
    assert not status.read(cast("Aws", fake), environment, now=NOW, lose_within_ms=1).healthy
