"""No request blocks the others: not by its pattern, whatever evaluates it, and not by anything else."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.engine.conftest import Lab

LINE = "a" * 5000 + "!"
SLOW_PATTERN = "^(a|aa)+$"  # that no cleverness of a backtracking matcher helps
SLOW_TEXT = "a" * 90 + "!"


def log_line(lab: Lab, message: str) -> str:
    group = f"/{lab.name}/lines"
    lab.call("logs", "create_log_group", logGroupName=group)
    lab.call("logs", "create_log_stream", logGroupName=group, logStreamName="s")
    event = {"timestamp": int(time.time() * 1000), "message": message}
    lab.call("logs", "put_log_events", logGroupName=group, logStreamName="s", logEvents=[event])
    return group


def others_are_served_beside(lab: Lab, request: Callable[[], Any]) -> Any:
    """Send a request, and others during it and after it; its result. Others that are blocked time out."""
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(request)
        while not held.done():
            assert lab.request("GET", "/_ministack/health")[0] == 200
        assert lab.call("sqs", "list_queues")["ResponseMetadata"]["HTTPStatusCode"] == 200
        return held.result()


def checked_api(lab: Lab) -> str:
    """An API with a model whose pattern is catastrophic; the path to post to."""
    api = lab.call("apigateway", "create_rest_api", name=f"{lab.name}-checked")["id"]
    root = lab.call("apigateway", "get_resources", restApiId=api)["items"][0]["id"]
    schema = json.dumps({"type": "object", "properties": {"x": {"type": "string", "pattern": SLOW_PATTERN}}})
    lab.call("apigateway", "create_model", restApiId=api, name="Checked", contentType="application/json", schema=schema)
    validator = lab.call(
        "apigateway", "create_request_validator", restApiId=api, name="body", validateRequestBody=True
    )["id"]
    where = {"restApiId": api, "resourceId": root, "httpMethod": "POST"}
    lab.call(
        "apigateway",
        "put_method",
        **where,
        authorizationType="NONE",
        requestModels={"application/json": "Checked"},
        requestValidatorId=validator,
    )
    lab.call("apigateway", "put_integration", **where, type="MOCK", requestTemplates={"application/json": "{}"})
    lab.call("apigateway", "create_deployment", restApiId=api, stageName="prod")
    return f"/_aws/execute-api/{api}/prod/"


def start_slow_match(lab: Lab) -> str:
    """Start a workflow whose expression is evaluated in a thread beside the loop; its ARN."""
    expression = f"{{% $match($states.input.x, /{SLOW_PATTERN}/) %}}"
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "Match",
        "States": {"Match": {"Type": "Pass", "Output": {"found": expression}, "End": True}},
    }
    machine = lab.call(
        "stepfunctions",
        "create_state_machine",
        name=lab.name,
        definition=json.dumps(definition),
        roleArn="arn:aws:iam::000000000000:role/any",
    )["stateMachineArn"]
    text = json.dumps({"x": SLOW_TEXT})
    return str(lab.call("stepfunctions", "start_execution", stateMachineArn=machine, input=text)["executionArn"])


def test_a_filter_pattern_with_groups_is_refused_as_aws_refuses_it(lab: Lab) -> None:
    group = log_line(lab, LINE)
    for pattern in ("%(a+)+$%", "{ $.x = %(a+)+$% }", "ERROR %(a|aa)+$%"):
        with pytest.raises(AwsError, match="no groups") as caught:
            lab.call("logs", "filter_log_events", logGroupName=group, filterPattern=pattern)
        assert caught.value.service_code == "InvalidParameterException"
    three = "%a% %b% %c%"
    with pytest.raises(AwsError, match="more than 2 regular expressions"):
        lab.call("logs", "filter_log_events", logGroupName=group, filterPattern=three)


@pytest.mark.parametrize(("last", "found"), [("[bc]", 0), (".$", 1)])
def test_a_filter_pattern_that_aws_accepts_does_not_delay_other_requests(lab: Lab, last: str, found: int) -> None:
    group = log_line(lab, LINE)

    def request() -> dict[str, Any]:
        return lab.call("logs", "filter_log_events", logGroupName=group, filterPattern=f"%{'a*' * 10}{last}%")

    assert len(others_are_served_beside(lab, request)["events"]) == found


def test_a_model_s_pattern_fails_its_own_request_alone(lab: Lab) -> None:
    path = checked_api(lab)
    assert lab.post(path, '{"x": "aaa"}')[0] == 200
    assert lab.post(path, '{"x": "b"}')[0] == 400
    status, _, _ = others_are_served_beside(lab, lambda: lab.post(path, json.dumps({"x": SLOW_TEXT})))
    assert status >= 500


@pytest.mark.long
def test_an_insights_query_fails_alone(lab: Lab) -> None:
    group = log_line(lab, SLOW_TEXT)

    def query() -> dict[str, Any] | None:
        now = int(time.time())
        expression = f"filter @message like /{SLOW_PATTERN}/"
        span = {"startTime": now - 600, "endTime": now + 600}
        try:
            asked = lab.call("logs", "start_query", logGroupName=group, queryString=expression, **span)
            return lab.call("logs", "get_query_results", queryId=asked["queryId"])
        except AwsError:
            return None

    found = others_are_served_beside(lab, query)
    assert found is None or found["results"] == []


def test_a_state_machine_s_expression_blocks_no_thread(lab: Lab, wait_for: Callable[..., Any]) -> None:
    run = others_are_served_beside(lab, lambda: start_slow_match(lab))

    # It fails, and whoever asks is answered all the while
    def ended() -> bool:
        found = lab.call("stepfunctions", "describe_execution", executionArn=run)["status"]
        return bool(found != "RUNNING")

    assert wait_for(ended, 60)


def test_what_no_patch_covers_is_interrupted(make_lab: Callable[..., Lab]) -> None:
    # Given an engine whose own matcher has no limit
    lab = make_lab(RTP_LOCAL_WITHOUT="user_regexes", RTP_LOCAL_STUCK_S="1")
    path = checked_api(lab)
    # When
    status, _, body = lab.post(path, json.dumps({"x": SLOW_TEXT}))
    # Then the one request fails, with the reason in the log, and the engine lives on
    assert status >= 500, body
    assert "no other request was served" in lab.engine.log_file.read_text()
    assert lab.post(path, '{"x": "aaa"}')[0] == 200
    assert lab.call("sqs", "list_queues")["ResponseMetadata"]["HTTPStatusCode"] == 200
