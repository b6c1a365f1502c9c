"""What triage reads: alarms since when, groups with their counts and trend, and what it could not read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from rtp.contract import Output
from rtp.errors import AwsError
from rtp.ops.local_release import LocalCode
from rtp.ops.triage import report
from rtp.runtime.attributes import pack
from rtp.text import times
from tests.unit.watch.test_status import ENV, NOW, OUTPUTS, FakeAws, alarm

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.ops.triage.report import Triage

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
AGES = (30 * MINUTE, 2 * HOUR, 20 * HOUR, 3 * DAY, 10 * DAY)  # of dead events, since their last attempts
KEYED = {"type": "KeyError", "message": "'JPY'", "signature": "KeyError: *", "at": "processors.py:8 price"}
OTHER = {"type": "TypeError", "message": "no", "signature": "TypeError: no", "at": "processors.py:9 price"}
TRAFFIC = {"EventsProcessed": [4.0, 2.0], "EventsDead": [4.0], "ApproximateNumberOfMessagesVisible": [100.0] * 10}


def record(id: str, ago_ms: int, release: str, *, status: str = "dead", error: Any = KEYED) -> dict[str, Any]:
    at = NOW - ago_ms
    attempts = [{"n": 1, "at": at - MINUTE, "error": error, "release": release, "outcome": "failed"}]
    values = {
        "id": id,
        "timestamp": at - HOUR,
        "type": "order",
        "status": status,
        "attempted_at": at,
        "attempts": attempts,
        "error": error,
        "release": release,
    }
    return {name: pack(value) for name, value in values.items()}


ITEMS = {
    "dead#0": [record(f"e{n}", age, "aaaa" if age > DAY else "bbbb") for n, age in enumerate(AGES)],
    "failed#0": [
        record("e7", 10 * MINUTE, "bbbb", status="failed"),
        record("e8", 5 * MINUTE, "bbbb", status="failed", error=OTHER),
    ],
}


class Account(FakeAws):
    """With a number, of which rtp's own bucket has its name."""

    account = "111122223333"


def denied(service: str) -> AwsError:
    return AwsError(f"{service}: access is denied.", code="access-denied", service_code="AccessDenied")


def read(**changes: Any) -> Triage:
    """What is read of a pipeline with failures of two causes, two alarms that fire, and a queue that grows."""

    def alarms(asked: dict[str, Any]) -> list[dict[str, Any]]:
        ago = {"shop-dev-dlq-messages": 18 * MINUTE, "shop-dev-worker-failures": 40 * MINUTE}
        return [
            alarm(name, "ALARM", "high") | {"StateTransitionedTimestamp": moment(ago[name])}
            if name in ago
            else alarm(name)
            for name in asked["AlarmNames"]
        ]

    def moment(ago_ms: int) -> datetime:
        return datetime.fromtimestamp((NOW - ago_ms) / 1000, UTC)

    def metrics(asked: dict[str, Any]) -> list[dict[str, Any]]:
        names = {q["Id"]: q["MetricStat"]["Metric"]["MetricName"] for q in asked["MetricDataQueries"]}
        return [{"Id": id, "Timestamps": [], "Values": TRAFFIC[name]} for id, name in names.items()]

    def depth(asked: dict[str, Any]) -> dict[str, Any]:
        count = 300 if asked["QueueUrl"] == OUTPUTS[Output.QUEUE_URL] else 0
        return {"Attributes": {"ApproximateNumberOfMessages": str(count)}}

    answers: dict[str, Any] = {
        "query": lambda asked: ITEMS.get(asked["ExpressionAttributeValues"][":s"]["S"], []),
        "describe_alarms": alarms,
        "get_metric_data": metrics,
        "get_queue_attributes": depth,
        "filter_log_events": {"events": []},
        "batch_get_item": {"Responses": {}},
        "list_objects_v2": denied("s3"),
        **changes,
    }
    return report.read(cast("Aws", Account(**answers)), ENV, OUTPUTS, LocalCode(""), now=NOW)


def test_a_group_has_the_counts_of_each_time_its_share_and_the_release_of_its_first_failure() -> None:
    keyed, other = sorted(read().groups, key=lambda group: -group.count)
    assert (keyed.count, keyed.dead, keyed.waiting, keyed.logged) == (6, 5, 1, 0)
    assert (keyed.last_1h, keyed.last_3h, keyed.last_24h, keyed.last_7d) == (2, 3, 4, 5)
    assert keyed.share == 0.3  # three that died, of ten that ended in 24 hours
    assert (keyed.first, keyed.last) == (times.iso(NOW - 10 * DAY - MINUTE), times.iso(NOW - 10 * MINUTE))
    assert (keyed.release, keyed.releases) == ("aaaa", ["aaaa", "bbbb"])
    assert (keyed.newest.id, keyed.newest.error, keyed.error) == ("e7", "KeyError: 'JPY'", "KeyError: *")
    assert (other.count, other.waiting, other.share, other.release) == (1, 1, 0.0, "bbbb")


def test_what_is_red_is_named_with_its_time_the_oldest_first_and_the_queues_with_their_motion() -> None:
    found = read()
    assert [(red.alarm, red.since) for red in found.red] == [
        ("worker-failures", times.iso(NOW - 40 * MINUTE)),
        ("dlq-messages", times.iso(NOW - 18 * MINUTE)),
    ]
    queue, dlq = found.queues
    assert (queue.depth, queue.per_minute) == (300, 20.0) and dlq.depth == 0


def test_a_note_of_a_message_that_another_program_wrote_hides_nothing() -> None:
    forged = {**record("e9", HOUR, "bbbb"), "dlq_message": {"S": "forged"}}
    found = read(query=lambda asked: [forged] if asked["ExpressionAttributeValues"][":s"]["S"] == "dead#0" else [])
    assert [group.count for group in found.groups] == [1] and found.unread[0].part == "history"
    assert found.deadlines is not None and found.deadlines.first is None


def test_what_is_denied_is_named_and_the_rest_is_there() -> None:
    found = read(
        describe_alarms=denied("cloudwatch"),
        filter_log_events=denied("logs"),
        batch_get_item=denied("dynamodb"),
        get_function_configuration=denied("lambda"),
    )
    assert {each.part: each.message for each in found.unread} == {
        "logs": "logs: access is denied.",
        "alarms": "cloudwatch: access is denied.",
        "history": "s3: access is denied.",
        "functions": "lambda: access is denied.",
        "memory": "dynamodb: access is denied.",
    }
    assert len(found.groups) == 2 and found.logs is None and found.red == []
