"""What AWS shows late: stacks, tags, logs, traces, metrics and alarms."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from rtp.local.patches import custom_resources
from rtp.local.weather.call import Response
from rtp.local.weather.effects.clocks import Clocks
from rtp.local.weather.effects.custom_resources import RepeatedRequests
from rtp.local.weather.effects.log_events import LogEvents
from rtp.local.weather.effects.metrics import AlarmStates, Metrics
from rtp.local.weather.effects.stacks import ChangeSets, StackEvents, StackReads
from rtp.local.weather.effects.tag_search import TagSearch, matches
from rtp.local.weather.effects.traces import Traces
from tests.unit.local.weather.calls import Sky, code

STACK_ID = "arn:aws:cloudformation:us-east-1:1:stack/shop/1"
LATER_S = 60.0


def described(sky: Sky, status: str, stack: str = "shop") -> set[bytes]:
    """What forty descriptions of the stack say while it has this status."""
    return {sky.call("cloudformation", "DescribeStacks", status.encode(), StackName=stack).body for _ in range(40)}


def test_a_stack_is_described_as_before_an_operation_for_a_while() -> None:
    sky = Sky(StackReads)
    # Given a stack that was described / When an update of it begins
    described(sky, "CREATE_COMPLETE")
    sky.call("cloudformation", "ExecuteChangeSet", StackName=STACK_ID, ChangeSetName="c")
    # Then some descriptions are the old ones, by its name and by its id
    assert described(sky, "UPDATE_IN_PROGRESS") == {b"CREATE_COMPLETE", b"UPDATE_IN_PROGRESS"}
    # And later none
    sky.now += LATER_S
    assert described(sky, "UPDATE_COMPLETE") == {b"UPDATE_COMPLETE"}


def test_a_stack_is_not_described_as_before_an_operation_that_ended_long_ago() -> None:
    sky = Sky(StackReads)
    # Given a new stack that was described by its id before it was created, and by its name since
    described(sky, "REVIEW_IN_PROGRESS", STACK_ID)
    sky.call("cloudformation", "ExecuteChangeSet", StackName=STACK_ID, ChangeSetName="c")
    sky.now += LATER_S
    described(sky, "CREATE_COMPLETE")
    # When a change set is made of it / Then no description says that it was never created
    sky.call("cloudformation", "CreateChangeSet", StackName="shop", ChangeSetName="c")
    assert described(sky, "CREATE_COMPLETE", STACK_ID) == {b"CREATE_COMPLETE"}


def test_a_new_stack_does_not_exist_for_a_while() -> None:
    sky = Sky(StackReads)
    absent = Response(400, (), b"<Code>ValidationError</Code><Message>Stack with id shop does not exist</Message>")
    assert sky.call("cloudformation", "DescribeStacks", absent, StackName="shop") == absent
    sky.call("cloudformation", "CreateChangeSet", StackName="shop", ChangeSetName="c")
    assert described(sky, "REVIEW_IN_PROGRESS") == {absent.body, b"REVIEW_IN_PROGRESS"}


def test_the_latest_events_of_a_stack_are_missing() -> None:
    sky = Sky(StackEvents)

    def event(seconds: float) -> str:
        return f"<member><EventId>{seconds}</EventId><Timestamp>{at(sky.now - seconds)}</Timestamp></member>"

    def shown(seconds: tuple[float, ...]) -> str:
        text = f"<StackEvents>{''.join(map(event, seconds))}</StackEvents>"
        return sky.call("cloudformation", "DescribeStackEvents", text.encode(), StackName="shop").body.decode()

    assert shown((0.0, 0.1, 60.0)) == f"<StackEvents>{event(60.0)}</StackEvents>"


def test_a_change_set_is_worked_out_later() -> None:
    sky = Sky(ChangeSets)
    ready = b"<Status>CREATE_COMPLETE</Status><ExecutionStatus>AVAILABLE</ExecutionStatus><Changes><m/></Changes>"
    change_set: dict[str, Any] = {"StackName": "shop", "ChangeSetName": "c"}
    by_id: dict[str, Any] = {"StackName": STACK_ID, "ChangeSetName": "arn:aws:cloudformation:us-east-1:1:changeSet/c/1"}
    sky.call("cloudformation", "CreateChangeSet", **change_set)
    pending = sky.call("cloudformation", "DescribeChangeSet", ready, **by_id).body
    assert pending == (
        b"<Status>CREATE_PENDING</Status><ExecutionStatus>UNAVAILABLE</ExecutionStatus><Changes></Changes>"
    )
    assert code(sky.call("cloudformation", "ExecuteChangeSet", **by_id)) == "InvalidChangeSetStatus"
    sky.now += LATER_S
    assert sky.call("cloudformation", "DescribeChangeSet", ready, **by_id).body == ready
    assert sky.call("cloudformation", "ExecuteChangeSet", **by_id).ok


def test_the_tag_search_remembers_and_learns_late() -> None:
    sky = Sky(TagSearch)

    def search(*names: str) -> list[str]:
        resources = [resource(name) for name in names]
        answer = {"ResourceTagMappingList": resources}
        response = sky.call(
            "resourcegroupstaggingapi", "GetResources", answer, TagFilters=[{"Key": "Project", "Values": ["shop"]}]
        )
        return [r["ResourceARN"].rpartition(":")[2] for r in response.document["ResourceTagMappingList"]]

    # Given a queue that exists / Then it is found
    assert search("a") == ["a"]
    # When it is replaced / Then it is still found, and the new one is not yet
    assert search("b") == ["a"]
    # And later it is the other way round
    sky.now += LATER_S
    assert search("b") == ["b"]
    # And it does not find what is not searched for
    assert not matches(resource("a"), {"TagFilters": [{"Key": "Project", "Values": ["other"]}]})
    assert not matches(resource("a"), {"ResourceTypeFilters": ["s3"]})


def test_log_events_appear_late_and_out_of_order() -> None:
    sky = Sky(LogEvents)
    written = sky.now
    events = [{"eventId": str(n), "ingestionTime": int(1000 * (written + n / 100))} for n in range(50)]
    shown: list[list[int]] = []
    for _ in range(12):
        answer = sky.call("logs", "FilterLogEvents", {"events": events}, logGroupName="g").document
        shown.append([int(event["eventId"]) for event in answer["events"]])
        sky.now += 0.3
    # Then at first there are few, in the end there are all, and in between some are missing among later ones
    assert len(shown[0]) < 5 and len(shown[-1]) == 50
    assert any(ids and ids != list(range(len(ids))) for ids in shown[1:-1])


def test_a_query_of_logs_takes_its_time() -> None:
    sky, done = Sky(LogEvents), {"status": "Complete", "results": [[{"field": "f", "value": "v"}]]}
    sky.call("logs", "StartQuery", {"queryId": "q"})
    running = sky.call("logs", "GetQueryResults", done, queryId="q").document
    assert running == {"status": "Running", "results": []}
    sky.now += LATER_S
    assert sky.call("logs", "GetQueryResults", done, queryId="q").document == done


def test_traces_are_found_late_and_read_in_parts() -> None:
    sky = Sky(Traces)
    trace = f"1-{int(sky.now):08x}-bd862e3fe1be46a994272793"
    summaries = {"TraceSummaries": [{"Id": trace, "Duration": 0.1}]}
    segments = [segment("a", sky.now - 60), segment("b", sky.now)]
    traces = {"Traces": [{"Id": trace, "Segments": segments}]}
    assert sky.call("xray", "GetTraceSummaries", summaries).document["TraceSummaries"] == []
    assert sky.call("xray", "BatchGetTraces", traces).document["Traces"][0]["Segments"] == segments[:1]
    sky.now += LATER_S
    assert sky.call("xray", "GetTraceSummaries", summaries).document == summaries
    assert sky.call("xray", "BatchGetTraces", traces).document == traces


def test_some_traces_are_not_answered_at_once() -> None:
    sky = Sky(Traces)
    traces = {"Traces": [{"Id": n, "Segments": [segment(n, sky.now - 60)]} for n in ("1", "2")]}
    answers = [sky.call("xray", "BatchGetTraces", traces).document for _ in range(60)]
    partial = next(answer for answer in answers if answer.get("UnprocessedTraceIds"))
    assert [t["Id"] for t in partial["Traces"]] == ["1"] and partial["UnprocessedTraceIds"] == ["2"]


def test_the_latest_data_points_are_missing() -> None:
    sky = Sky(Metrics)
    times = [sky.now - 120, sky.now - 60, sky.now]
    answer = {"MetricDataResults": [{"Id": "m", "Timestamps": times, "Values": [1, 2, 3]}]}
    (result,) = sky.call("cloudwatch", "GetMetricData", answer).document["MetricDataResults"]
    assert (result["Timestamps"], result["Values"]) == (times[:2], [1, 2])
    points = {"Datapoints": [{"Timestamp": time} for time in times]}
    statistics = sky.call("cloudwatch", "GetMetricStatistics", points).document
    assert [point["Timestamp"] for point in statistics["Datapoints"]] == times[:2]


def test_an_alarm_shows_its_earlier_state_for_a_while() -> None:
    sky = Sky(AlarmStates)

    def state(value: str, updated: float) -> str:
        alarm = {"AlarmName": "a", "StateValue": value, "StateUpdatedTimestamp": updated}
        (shown,) = sky.call("cloudwatch", "DescribeAlarms", {"MetricAlarms": [alarm]}).document["MetricAlarms"]
        return str(shown["StateValue"])

    assert state("OK", sky.now - 60) == "OK"
    fired = sky.now
    assert state("ALARM", fired) == "OK"
    sky.now += LATER_S
    assert state("ALARM", fired) == "ALARM"


def test_a_custom_resource_gets_some_requests_twice() -> None:
    effect = RepeatedRequests(1)
    assert {effect.deliveries({}) for _ in range(20)} == {1, 2}


def test_a_custom_resource_is_invoked_again_after_an_error() -> None:
    # Given a function that fails twice
    events: list[str] = []
    pauses: list[float] = []

    def function(event: dict[str, Any]) -> dict[str, Any]:
        events.append(event["RequestId"])
        return {"error": True} if len(events) < 3 else {}

    # When a request is delivered / Then it gets the same one three times, and no more
    custom_resources.deliver(function, {"RequestId": "r", "LogicalResourceId": "l"}, pauses.append)
    assert (events, pauses) == (["r"] * 3, list(custom_resources.RETRY_PAUSES_S))

    def deleted(_event: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("deleted")

    custom_resources.deliver(deleted, {"RequestId": "r", "LogicalResourceId": "l"}, pauses.append)


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def resource(name: str) -> dict[str, Any]:
    return {"ResourceARN": f"arn:aws:sqs:us-east-1:1:{name}", "Tags": [{"Key": "Project", "Value": "shop"}]}


def segment(id: str, ended: float) -> dict[str, Any]:
    return {"Id": id, "Document": json.dumps({"id": id, "start_time": ended, "end_time": ended})}


def test_a_service_keeps_its_date_where_it_is_compared_with_times_in_its_data() -> None:
    # Given a message that was sent, and a key that was made, before the Date of a later answer by the engine's clock
    sky = Sky(Clocks)
    answered = Response(200, ((b"date", formatdate(sky.now, usegmt=True).encode()),), b"{}")

    def moved(service: str, operation: str) -> bool:
        return sky.call(service, operation, answered).header("date") != answered.header("date")

    # Then that holds at the edge too, or a purge would take every message for one that was sent after its start
    assert not any(moved(*each) for each in (("sqs", "GetQueueAttributes"), ("logs", "FilterLogEvents")))
    assert not any(moved("apigateway", operation) for operation in ("GetApiKey", "GetStage"))
    assert not moved("s3", "GetObject")  # a lease and a sign of life are as old as its Date is after LastModified
    assert not moved("xray", "GetTraceSummaries")  # a follower would look for traces where there are none yet
    assert moved("sts", "GetCallerIdentity") and moved("dynamodb", "GetItem")
