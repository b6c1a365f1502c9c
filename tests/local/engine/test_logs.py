"""Logs on the engine: complete, in order, in pages, searchable."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.engine.conftest import Lab

LOGGING = """
import json, sys, time
from datetime import datetime, timezone
def handler(event, context):
    for n in range(event["lines"]):
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        print(json.dumps({"timestamp": at, "level": "INFO", "n": n, "event_id": event["id"]}))
        time.sleep(event.get("pause", 0))
    sys.stderr.write("the last word, without a newline")
"""

LATE = """
import boto3, os
def handler(event, context):
    sqs = boto3.client("sqs", endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))
    sqs.send_message(QueueUrl=event["running"], MessageBody="running")
    sqs.receive_message(QueueUrl=event["go"], WaitTimeSeconds=20)
    print("late")
"""


def lines(lab: Lab, **params: Any) -> list[dict[str, Any]]:
    group = f"/aws/lambda/{lab.name}-function"
    return list(lab.aws.pages("logs", "filter_log_events", "events", logGroupName=group, **params))


def test_every_line_is_there_when_the_invocation_ends(lab: Lab) -> None:
    # Given
    function = lab.function(LOGGING)
    # When
    lab.invoke(function, {"lines": 300, "id": "a"})
    # Then
    found = [event["message"] for event in lines(lab)]
    assert [json.loads(m)["n"] for m in found if m.startswith("{")] == list(range(300))
    assert found[0].startswith("START RequestId")
    assert "the last word, without a newline" in found
    assert found[-1].startswith("REPORT RequestId")
    assert len({event["eventId"] for event in lines(lab)}) == len(found)


def test_a_log_line_has_the_time_that_it_contains(lab: Lab) -> None:
    function = lab.function(LOGGING)
    lab.invoke(function, {"lines": 4, "id": "a", "pause": 0.1})
    times = [event["timestamp"] for event in lines(lab) if event["message"].startswith("{")]
    assert times == sorted(times)
    assert times[-1] - times[0] >= 250


def test_pages_and_patterns(lab: Lab) -> None:
    # Given
    function = lab.function(LOGGING)
    for name in ("a", "b"):
        lab.invoke(function, {"lines": 50, "id": name})
    # When
    client = lab.aws.client("logs")
    group = f"/aws/lambda/{lab.name}-function"
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        page = client.filter_log_events(logGroupName=group, limit=7, **token)
        seen += [event["eventId"] for event in page["events"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    # Then
    assert seen == [event["eventId"] for event in lines(lab)]
    assert len(lines(lab, filterPattern='{ $.event_id = "b" }')) == 50
    assert len(lines(lab, filterPattern='{ $.event_id = "b" && $.n >= 48 }')) == 2
    assert len(lines(lab, filterPattern='"\\"event_id\\": \\"a\\""')) == 50
    assert len(lines(lab, startTime=int(time.time() * 1000) + 60_000)) == 0


def test_the_api_writes_its_access_log(lab: Lab, wait_for: Callable[..., Any]) -> None:
    base = lab.api({"events": lab.to_queue(lab.queue()[1])})
    _, answered, _ = lab.post(f"{base}/events", "{}")
    found = wait_for(lambda: lab.call("logs", "filter_log_events", logGroupName=lab.access_log)["events"])
    assert json.loads(found[0]["message"]) == {
        "id": answered["x-amzn-requestid"],
        "status": "202",
        "path": "/events",
    }


def test_a_function_makes_its_log_group_only_with_the_permission_of_its_role(
    lab: Lab, wait_for: Callable[..., Any]
) -> None:
    # Given functions that log, one whose role may not make log groups
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    roles = {}
    for name, actions in (("maker", ["logs:*"]), ("writer", ["logs:CreateLogStream", "logs:PutLogEvents"])):
        role = f"{lab.name}-{name}"
        roles[name] = lab.call("iam", "create_role", RoleName=role, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        lab.call("iam", "put_role_policy", RoleName=role, PolicyName="p", PolicyDocument=policy)

    def groups() -> set[str]:
        listed = lab.call("logs", "describe_log_groups", logGroupNamePrefix=f"/aws/lambda/{lab.name}")["logGroups"]
        return {group["logGroupName"].rpartition("-")[2] for group in listed}

    # When both run without a log group
    for name, arn in roles.items():
        lab.invoke(lab.function(LOGGING, name=f"{lab.name}-{name}", Role=arn), {"lines": 1, "id": "a"})
    # Then one has made its group
    assert groups() == {"maker"}

    # Given a function that reports that it runs, and goes on when it is told to
    urls = {suffix: lab.queue(suffix)[0] for suffix in ("running", "go")}
    late = f"{lab.name}-late"
    lab.function(LATE, name=late, Role=roles["maker"])
    lab.call("logs", "create_log_group", logGroupName=f"/aws/lambda/{late}")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lab.invoke, late, urls)
        assert wait_for(lambda: lab.call("sqs", "receive_message", QueueUrl=urls["running"]).get("Messages"))
        # When it is deleted meanwhile, and its log group
        lab.call("lambda", "delete_function", FunctionName=late)
        lab.call("logs", "delete_log_group", logGroupName=f"/aws/lambda/{late}")
        lab.call("sqs", "send_message", QueueUrl=urls["go"], MessageBody="go")
        running.result()
    # Then its last lines do not make the group again
    assert groups() == {"maker"}


def test_invocations_share_a_stream(lab: Lab) -> None:
    function = lab.function(LOGGING)
    for _ in range(5):
        lab.invoke(function, {"lines": 1, "id": "a"})
    streams = lab.call("logs", "describe_log_streams", logGroupName=f"/aws/lambda/{lab.name}-function")["logStreams"]
    assert len(streams) <= 2, "one a day, and midnight may pass"


def test_what_ended_an_invocation_is_logged_as_lambda_does(lab: Lab) -> None:
    # Given functions that cannot be imported, exit, and take too long
    faults = {
        "start": ("import pandas_of_nobody\n" + LOGGING, {}),
        "exit": ("import os\ndef handler(event, context):\n    os._exit(3)\n", {}),
        "slow": ("import time\ndef handler(event, context):\n    time.sleep(60)\n", {"Timeout": 1}),
    }
    logged = {}
    for name, (code, settings) in faults.items():
        # When they are invoked
        function = lab.function(code, name=f"{lab.name}-{name}", **settings)
        lab.invoke(function, {})
        found = lab.aws.pages("logs", "filter_log_events", "events", logGroupName=f"/aws/lambda/{lab.name}-{name}")
        logged[name] = [event["message"] for event in found][1:-2]  # between START and END
    # Then the log says why they ended
    assert logged["start"] == [
        "[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'pandas_of_nobody'"
    ]
    (exited,) = logged["exit"]
    assert re.fullmatch(r"RequestId: [0-9a-f-]{36} Error: Runtime exited .*\rRuntime\.ExitError", exited)
    (slow,) = logged["slow"]
    assert re.fullmatch(r"\S+Z [0-9a-f-]{36} Task timed out after 1\.00 seconds", slow)
