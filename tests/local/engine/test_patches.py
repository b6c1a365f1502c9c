"""Each patch applies to the installed engine, and is still needed: without it the fault is there."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import AwsError, ConfigError
from rtp.local import engine as engines
from rtp.local.patches.catalogue import PATCHES
from tests.local.engine.outside import handshake

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.local.engine.conftest import Lab

EVERY_PATCH = ",".join(patch.name for patch in PATCHES)
ROOT = "1-5759e988-bd862e3fe1be46a994272793"


@pytest.fixture(scope="module")
def patched(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(RTP_LOCAL_ALARM_SPEED="30")


@pytest.fixture(scope="module")
def plain(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(RTP_LOCAL_WITHOUT=EVERY_PATCH)


def a_silent_function_is_waited_for(lab: Lab) -> bool:
    """worker: the engine waits for 50 ms to conclude that nothing is logged."""
    function = lab.function("def handler(event, context):\n    return 1\n", name=f"silent-{lab.name}")

    def once() -> float:
        began = time.monotonic()
        lab.invoke(function)
        return time.monotonic() - began

    return min(once() for _ in range(10)) >= 0.05


def a_batch_loses_its_traces(lab: Lab) -> bool:
    """queues: SendMessageBatch drops system attributes."""
    url, _ = lab.queue("traced")
    attribute = {"AWSTraceHeader": {"DataType": "String", "StringValue": f"Root={ROOT}"}}
    entry = {"Id": "1", "MessageBody": "x", "MessageSystemAttributes": attribute}
    lab.call("sqs", "send_message_batch", QueueUrl=url, Entries=[entry])
    found = lab.call("sqs", "receive_message", QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"][0]
    return "AWSTraceHeader" not in found["Attributes"]


def a_caller_s_trace_is_lost(lab: Lab) -> bool:
    """send_trace: the header of a SendMessage is not kept."""
    url, _ = lab.queue("called")
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "AmazonSQS.SendMessage",
        "X-Amzn-Trace-Id": f"Root={ROOT};Sampled=1",
        **lab.signature("sqs"),
    }
    assert lab.request("POST", "/", json.dumps({"QueueUrl": url, "MessageBody": "x"}), headers)[0] == 200
    found = lab.call("sqs", "receive_message", QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"][0]
    return "AWSTraceHeader" not in found["Attributes"]


def an_invocation_has_another_trace(lab: Lab) -> bool:
    """invocations: the function's trace is not the caller's."""
    code = "import os\ndef handler(event, context):\n    return os.environ.get('_X_AMZN_TRACE_ID')\n"
    lab.function(code, name=f"traced-{lab.name}", TracingConfig={"Mode": "Active"})
    path = f"/2015-03-31/functions/traced-{lab.name}/invocations"
    headers = {"X-Amzn-Trace-Id": f"Root={ROOT};Sampled=1", **lab.signature("lambda")}
    return ROOT.encode() not in lab.request("POST", path, "{}", headers)[2]


def attempts_of_an_asynchronous_invocation_have_other_ids(lab: Lab) -> bool:
    """invocations: each attempt has another request id and another trace."""
    code = (
        "import os\ndef handler(event, context):\n"
        "    root = os.environ['_X_AMZN_TRACE_ID'].partition('Root=')[2].partition(';')[0]\n"
        "    print('attempt', context.aws_request_id, root)\n    raise ValueError\n"
    )
    name = f"attempts-{lab.name}"
    lab.function(code, name=name, TracingConfig={"Mode": "Active"})
    lab.call("lambda", "put_function_event_invoke_config", FunctionName=name, MaximumRetryAttempts=1)
    lab.call("lambda", "invoke", FunctionName=name, InvocationType="Event", Payload=b"{}")
    lines: list[str] = []
    deadline = time.monotonic() + 30
    while len(lines) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
        with contextlib.suppress(AwsError):  # there is no log group yet
            found = lab.call("logs", "filter_log_events", logGroupName=f"/aws/lambda/{name}")["events"]
            lines = [event["message"].strip() for event in found if event["message"].startswith("attempt ")]
    assert len(lines) == 2
    return lines[0] != lines[1]


def a_malformed_answer_deletes_messages(lab: Lab) -> bool:
    """event_source: an unknown identifier confirms the whole batch."""
    code = "def handler(event, context):\n    return {'batchItemFailures': [{'itemIdentifier': 'unknown'}]}\n"
    url, arn = lab.queue("source", VisibilityTimeout="30")
    lab.add_event_source(lab.function(code, name=f"wrong-{lab.name}"), arn)
    lab.call("sqs", "send_message", QueueUrl=url, MessageBody="x")
    deadline = time.monotonic() + 3
    while sum(lab.depth(url)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return sum(lab.depth(url)) == 0


def log_events_have_no_id(lab: Lab) -> bool:
    """function_logs: a follower cannot tell events apart."""
    function = lab.function("def handler(event, context):\n    print('x')\n", name=f"logged-{lab.name}")
    lab.invoke(function)
    found = lab.call("logs", "filter_log_events", logGroupName=f"/aws/lambda/logged-{lab.name}")["events"]
    return not all(event.get("eventId") for event in found)


def templates_have_no_context(lab: Lab) -> bool:
    """api_gateway: $context.requestId renders as nothing."""
    base = lab.api({"events": lab.to_queue(lab.queue("api")[1], answer='{"id": "$context.requestId"}')})
    return bool(json.loads(lab.post(f"{base}/events", "{}")[2]) == {"id": ""})


def an_alarm_evaluates_other_metrics(lab: Lab) -> bool:
    """alarms: the dimensions are ignored."""
    datum = {"MetricName": "M", "Dimensions": [{"Name": "D", "Value": "other"}], "Value": 9.0}
    lab.call("cloudwatch", "put_metric_data", Namespace=lab.name, MetricData=[datum])
    lab.call(
        "cloudwatch",
        "put_metric_alarm",
        AlarmName=f"{lab.name}-alarm",
        Namespace=lab.name,
        MetricName="M",
        Dimensions=[{"Name": "D", "Value": "mine"}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
    )
    found = lab.call("cloudwatch", "describe_alarms", AlarmNames=[f"{lab.name}-alarm"])["MetricAlarms"][0]
    return bool(found["StateValue"] == "ALARM")


def dlq_messages_cannot_be_moved(lab: Lab) -> bool:
    """message_moves: an unknown action."""
    _, _, _, arn = lab.queue_with_dlq()
    try:
        lab.call("sqs", "start_message_move_task", SourceArn=arn)
    except AwsError as error:
        return "InvalidAction" in error.service_code or "not valid" in error.message
    return False


def a_declared_validator_is_not_created(lab: Lab) -> bool:
    """request_validators: CloudFormation has an id for it, and no validator of this id exists."""
    resources = {
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": f"validated-{lab.name}"}},
        "Validator": {
            "Type": "AWS::ApiGateway::RequestValidator",
            "Properties": {"RestApiId": {"Ref": "Api"}, "ValidateRequestBody": True},
        },
    }
    stack = f"validated-{lab.name}"
    lab.call("cloudformation", "create_stack", StackName=stack, TemplateBody=json.dumps({"Resources": resources}))
    deadline = time.monotonic() + 180
    found: dict[str, str] = {}
    while len(found) < len(resources) and time.monotonic() < deadline:
        described = lab.call("cloudformation", "describe_stack_resources", StackName=stack)["StackResources"]
        found = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in described if r.get("PhysicalResourceId")}
    made = lab.call("apigateway", "get_request_validators", restApiId=found["Api"]).get("items", [])
    return [validator["id"] for validator in made] != [found["Validator"]]


def a_declared_access_log_is_left_out(lab: Lab) -> bool:
    """stage_logs: the stage that CloudFormation has created has no access log."""
    log = {"DestinationArn": "arn:aws:logs:us-east-1:000000000000:log-group:/access", "Format": "$context.requestId"}
    named = {"RestApiId": {"Ref": "Api"}}
    resources = {
        "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": f"logged-{lab.name}"}},
        "Deployment": {"Type": "AWS::ApiGateway::Deployment", "Properties": named},
        "Stage": {
            "Type": "AWS::ApiGateway::Stage",
            "Properties": named | {"StageName": "s", "DeploymentId": {"Ref": "Deployment"}, "AccessLogSetting": log},
        },
    }
    stack = f"logged-{lab.name}"
    lab.call("cloudformation", "create_stack", StackName=stack, TemplateBody=json.dumps({"Resources": resources}))
    found: dict[str, str] = {}
    deadline = time.monotonic() + 180
    while len(found) < len(resources) and time.monotonic() < deadline:
        described = lab.call("cloudformation", "describe_stack_resources", StackName=stack)["StackResources"]
        found = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in described if r.get("PhysicalResourceId")}
    return not lab.call("apigateway", "get_stage", restApiId=found["Api"], stageName="s").get("accessLogSettings")


def an_alarm_over_metric_math_fails_its_stack(lab: Lab) -> bool:
    """metric_math: CloudFormation does not create it, and rolls the stack back."""
    metric = {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}
    queries = [{"Id": "a", "MetricStat": metric, "ReturnData": False}, {"Id": "b", "Expression": "a * 2"}]
    limits = {"ComparisonOperator": "GreaterThanThreshold", "Threshold": 1, "EvaluationPeriods": 1}
    alarm = {"Type": "AWS::CloudWatch::Alarm", "Properties": {"AlarmName": "doubled", "Metrics": queries, **limits}}
    status = _stack(lab, "math", {"Alarm": alarm})
    found = lab.call("cloudwatch", "describe_alarms", AlarmNames=["doubled"])["MetricAlarms"]
    assert bool(found) is (status == "CREATE_COMPLETE")
    return status == "ROLLBACK_COMPLETE"


def a_stack_s_bucket_has_no_tags_and_is_deleted_full(lab: Lab) -> bool:
    """stack_buckets: a template's tags are dropped, and the stack's objects are deleted with it."""
    name, tags = f"full-{lab.name}", [{"Key": "a:b", "Value": "c"}]
    properties = {"BucketName": name, "Tags": tags}
    assert _stack(lab, "full", {"B": {"Type": "AWS::S3::Bucket", "Properties": properties}}) == "CREATE_COMPLETE"
    lab.call("s3", "put_object", Bucket=name, Key="k", Body=b"x")
    try:
        tagged = lab.call("s3", "get_bucket_tagging", Bucket=name)["TagSet"] == tags
    except AwsError:
        tagged = False
    lab.call("cloudformation", "delete_stack", StackName=f"full-{lab.name}")
    status = _settled(lab, f"full-{lab.name}")
    kept = [b["Name"] for b in lab.call("s3", "list_buckets")["Buckets"]].count(name) == 1
    assert tagged is kept is (status == "DELETE_FAILED")
    return not tagged and not kept


def a_bucket_s_policy_cannot_be_imported(lab: Lab) -> bool:
    """bucket_policies: the change set is refused."""
    name, type_ = f"policy-{lab.name}", "AWS::S3::BucketPolicy"
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{name}"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    lab.call("s3", "create_bucket", Bucket=name)
    lab.call("s3", "put_bucket_policy", Bucket=name, Policy=json.dumps(document))
    policy = {"Type": type_, "DeletionPolicy": "Retain", "Properties": {"Bucket": name, "PolicyDocument": document}}
    imported = {"ResourceType": type_, "LogicalResourceId": "P", "ResourceIdentifier": {"Bucket": name}}
    try:
        lab.call(
            "cloudformation",
            "create_change_set",
            StackName=name,
            ChangeSetName="import",
            ChangeSetType="IMPORT",
            ResourcesToImport=[imported],
            TemplateBody=json.dumps({"Resources": {"P": policy}}),
        )
    except AwsError:
        return True
    change_set = lab.call("cloudformation", "describe_change_set", StackName=name, ChangeSetName="import")
    return bool(change_set["Status"] == "FAILED")


def _stack(lab: Lab, name: str, resources: dict[str, Any]) -> str:
    """The state in which a new stack of these resources ends."""
    body = json.dumps({"Resources": resources})
    lab.call("cloudformation", "create_stack", StackName=f"{name}-{lab.name}", TemplateBody=body)
    return _settled(lab, f"{name}-{lab.name}")


def _settled(lab: Lab, stack: str) -> str:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        found = lab.call("cloudformation", "list_stacks")["StackSummaries"]
        status = next(str(s["StackStatus"]) for s in found if s["StackName"] == stack)
        if not status.endswith("_IN_PROGRESS"):
            return status
        time.sleep(0.1)
    raise AssertionError(f"{stack} has not settled")


def the_usage_of_a_plan_is_not_reported(lab: Lab) -> bool:
    """usage: GetUsage returns the plan."""
    plan = lab.call("apigateway", "create_usage_plan", name=lab.name, quota={"limit": 10, "period": "DAY"})["id"]
    today = time.strftime("%Y-%m-%d")
    return "startDate" not in lab.call("apigateway", "get_usage", usagePlanId=plan, startDate=today, endDate=today)


def a_resource_policy_of_an_api_is_ignored(lab: Lab) -> bool:
    """api_access: an address that the policy denies is admitted."""
    _, arn = lab.queue("policed")
    base = lab.api({"events": lab.to_queue(arn)})
    statement = {"Principal": "*", "Action": "execute-api:Invoke", "Resource": "execute-api:/*"}
    elsewhere = {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}}
    policy = {"Statement": [statement | {"Effect": "Allow"}, statement | {"Effect": "Deny", "Condition": elsewhere}]}
    patches = [{"op": "replace", "path": "/policy", "value": json.dumps(policy)}]
    lab.call("apigateway", "update_rest_api", restApiId=base.split("/")[3], patchOperations=patches)
    return lab.post(f"{base}/events", "{}")[0] == 202


def a_signature_for_another_service_calls_an_api(lab: Lab) -> bool:
    """api_signatures: a method with AWS_IAM asks for no service and no region."""
    base = lab.api({"signed": lab.to_queue(lab.queue("signed")[1])})
    lab.require_signature(base, "/signed")
    return lab.post(f"{base}/signed", "{}", **lab.signature("s3"))[0] == 202


def a_signature_for_another_service_calls_an_http_api(lab: Lab) -> bool:
    """http_signatures: a route with AWS_IAM, a WebSocket API and its clients' addresses ask for no service."""
    base = lab.http_api("AWS_IAM")
    path = lab.websocket_api("AWS_IAM")
    connected = [handshake(lab, path, **lab.signature(service)) == 101 for service in ("execute-api", "s3")]
    answers = [
        lab.post(f"{base}/signed", "{}", **lab.signature(service))[0] == 200 for service in ("execute-api", "s3")
    ]
    # Of a client that is not connected
    posted = [
        lab.post(f"{path}/@connections/x", "{}", **lab.signature(service))[0] == 410
        for service in ("execute-api", "s3")
    ]
    right, wrong = zip(connected, answers, posted, strict=True)
    assert all(right)
    assert len(set(wrong)) == 1, wrong
    return all(wrong)


def a_signature_for_another_service_calls_a_function_url(lab: Lab) -> bool:
    """url_signatures: a function URL with AWS_IAM asks for no service."""
    path = lab.function_url("AWS_IAM")
    assert lab.post(path, "{}", **lab.signature("lambda"))[0] == 200
    return lab.post(path, "{}", **lab.signature("s3"))[0] == 200


def a_function_signs_with_the_account_s_number(lab: Lab) -> bool:
    """credentials: every call of a function is refused."""
    code = (
        "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Account']\n"
    )
    answer = lab.invoke(lab.function(code, name=f"signing-{lab.name}"))
    return "InvalidClientTokenId" in str(answer)


def the_code_s_address_can_be_guessed(lab: Lab) -> bool:
    """downloads: it is made of names and a constant."""
    function = lab.function("def handler(event, context): ...\n", name=f"located-{lab.name}")
    url = lab.call("lambda", "get_function", FunctionName=function)["Code"]["Location"]
    return "ministack-local-presigned" in url


def a_custom_resource_cannot_answer(lab: Lab) -> bool:
    """callbacks: its response URL has no signature and is refused."""
    code = (
        "import json, urllib.request as u\n"
        "def handler(event, context):\n"
        "    body = {k: event[k] for k in ('StackId', 'RequestId', 'LogicalResourceId')}\n"
        "    data = json.dumps(body | {'Status': 'SUCCESS', 'PhysicalResourceId': 'p'}).encode()\n"
        "    u.urlopen(u.Request(event['ResponseURL'], data, {'Content-Type': ''}, method='PUT'))\n"
    )
    function = lab.function(code, name=f"answering-{lab.name}")
    thing = {"Type": "Custom::Thing", "Properties": {"ServiceToken": function, "ServiceTimeout": "5"}}
    template = json.dumps({"Resources": {"Thing": thing}})
    stack = f"answering-{lab.name}"
    lab.call("cloudformation", "create_stack", StackName=stack, TemplateBody=template)

    def status() -> str:
        return str(lab.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"][0]["StackStatus"])

    deadline = time.monotonic() + 180
    while status() == "CREATE_IN_PROGRESS" and time.monotonic() < deadline:
        time.sleep(0.1)
    return status() != "CREATE_COMPLETE"


ANSWER = """import json, urllib.request as u
def handler(event, context):
    body = {k: event[k] for k in ("StackId", "RequestId", "LogicalResourceId")}
    body |= {"Status": "FAILED" if event["RequestType"] == "Create" else "SUCCESS", "PhysicalResourceId": "mine"}
    data = json.dumps(body).encode()
    u.urlopen(u.Request(event["ResponseURL"], data, {"Content-Type": ""}, method="PUT"))
"""


def settled(lab: Lab, stack: str) -> list[tuple[str, str, str]]:
    """The events of a stack once no operation runs: logical id, physical id and status, oldest first."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        status = lab.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"][0]["StackStatus"]
        if not status.endswith("_IN_PROGRESS"):
            break
        time.sleep(0.1)
    events = lab.call("cloudformation", "describe_stack_events", StackName=stack)["StackEvents"]
    return [(e["LogicalResourceId"], e.get("PhysicalResourceId", ""), e["ResourceStatus"]) for e in events[::-1]]


def a_failed_custom_resource_is_not_deleted(lab: Lab) -> bool:
    """custom_resources: the rollback of a stack sends no Delete to a resource whose creation failed."""
    function = lab.function(ANSWER, name=f"failing-{lab.name}")
    thing = {"Type": "Custom::Thing", "Properties": {"ServiceToken": function, "ServiceTimeout": "5"}}
    stack = f"failing-{lab.name}"
    template = json.dumps({"Resources": {"Thing": thing}})
    lab.call("cloudformation", "create_stack", StackName=stack, TemplateBody=template)
    return ("Thing", "mine", "DELETE_COMPLETE") not in settled(lab, stack)


def an_update_has_no_cleanup_phase(lab: Lab) -> bool:
    """stack_cleanup: what an update removes is deleted before the update is complete."""
    stack, queue = f"cleaned-{lab.name}", {"Type": "AWS::SQS::Queue"}
    both, one = (json.dumps({"Resources": dict.fromkeys(names, queue)}) for names in (("A", "B"), ("A",)))
    lab.call("cloudformation", "create_stack", StackName=stack, TemplateBody=both)
    settled(lab, stack)
    lab.call("cloudformation", "update_stack", StackName=stack, TemplateBody=one)
    statuses = [(logical_id, status) for logical_id, _, status in settled(lab, stack)]
    cleanup = [
        (stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        ("B", "DELETE_IN_PROGRESS"),
        ("B", "DELETE_COMPLETE"),
        (stack, "UPDATE_COMPLETE"),
    ]
    return statuses[-4:] != cleanup


def a_deleted_resource_is_not_created_again(lab: Lab) -> bool:
    """drift: a drift-aware change set of the same template is empty."""
    name = f"drift-{lab.name}"
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}
    topic = {
        "Type": "AWS::SNS::Topic",
        "Properties": {"TopicName": name, "DisplayName": {"Fn::GetAtt": ["Q", "QueueName"]}},
    }
    assert _stack(lab, "drift", {"Q": queue, "T": topic}) == "CREATE_COMPLETE"
    lab.call("sqs", "delete_queue", QueueUrl=lab.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"])
    arguments = {"StackName": name, "ChangeSetName": "back"}
    lab.call(
        "cloudformation", "create_change_set", **arguments, UsePreviousTemplate=True, DeploymentMode="REVERT_DRIFT"
    )
    change_set = lab.call("cloudformation", "describe_change_set", **arguments)
    if change_set["Status"] == "FAILED":
        return True
    (change,) = (c["ResourceChange"] for c in change_set["Changes"])
    assert (change["LogicalResourceId"], change["Action"], change["ResourceDriftStatus"]) == ("Q", "Add", "DELETED")
    lab.call("cloudformation", "execute_change_set", **arguments)
    assert _settled(lab, name) == "UPDATE_COMPLETE"
    return not lab.call("sqs", "get_queue_url", QueueName=name)["QueueUrl"]


FAULTS = [
    a_silent_function_is_waited_for,
    a_batch_loses_its_traces,
    a_caller_s_trace_is_lost,
    an_invocation_has_another_trace,
    attempts_of_an_asynchronous_invocation_have_other_ids,
    a_malformed_answer_deletes_messages,
    log_events_have_no_id,
    templates_have_no_context,
    an_alarm_evaluates_other_metrics,
    dlq_messages_cannot_be_moved,
    a_declared_validator_is_not_created,
    a_declared_access_log_is_left_out,
    an_alarm_over_metric_math_fails_its_stack,
    a_stack_s_bucket_has_no_tags_and_is_deleted_full,
    the_usage_of_a_plan_is_not_reported,
    a_resource_policy_of_an_api_is_ignored,
    a_signature_for_another_service_calls_an_api,
    a_signature_for_another_service_calls_an_http_api,
    a_signature_for_another_service_calls_a_function_url,
    a_function_signs_with_the_account_s_number,
    the_code_s_address_can_be_guessed,
    a_custom_resource_cannot_answer,
    a_failed_custom_resource_is_not_deleted,
    an_update_has_no_cleanup_phase,
    a_deleted_resource_is_not_created_again,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_fault_is_there_without_the_patch_and_gone_with_it(
    patched: Lab, plain: Lab, fault: Callable[[Lab], bool]
) -> None:
    assert fault(plain), "the engine has fixed this itself: remove the patch"
    assert not fault(patched)


def test_a_service_without_state_is_not_saved(make_lab: Callable[..., Lab]) -> None:
    def files(lab: Lab) -> set[str]:
        root = lab.engine.log_file.parents[2]
        engines.stop(root)
        return {path.stem for path in (lab.engine.log_file.parent / "data" / "state").glob("*.json")}

    assert "eventbridge" in files(make_lab(RTP_LOCAL_WITHOUT="saving"))
    assert "eventbridge" not in files(make_lab())


@pytest.mark.parametrize(("without", "delivered"), [("queue_urls", False), ("", True)])
def test_event_sources_find_their_queues_after_a_move_to_another_port(
    make_lab: Callable[..., Lab], without: str, delivered: bool
) -> None:
    # Given an engine whose port another program takes while it is stopped
    lab = make_lab(RTP_LOCAL_WITHOUT=without)
    code = "def handler(event, context):\n    return {'batchItemFailures': []}\n"
    url, arn = lab.queue("moved", VisibilityTimeout="30")
    lab.add_event_source(lab.function(code), arn)
    root = lab.engine.log_file.parents[2]
    engines.stop(root)
    with contextlib.ExitStack() as taken:
        with contextlib.suppress(OSError):  # an engine of another worker's tests may have it already
            taken.enter_context(socket.create_server(("127.0.0.1", lab.engine.port)))
        moved = type(lab)(engines.start(root, extra_env={"RTP_LOCAL_WITHOUT": without}))
    assert moved.engine.port != lab.engine.port
    # When
    moved.call("sqs", "send_message", QueueUrl=url, MessageBody="x")
    # Then
    deadline = time.monotonic() + (20 if delivered else 3)
    while sum(moved.depth(url)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (sum(moved.depth(url)) == 0) == delivered


RACE = """
import sys
from ministack.services import sqs
from rtp.local.message_list import Messages
from rtp.local.patches.install import install_all
from rtp.local.telemetry import Telemetry

kind = list
if sys.argv[1] == "fixed":
    install_all(Telemetry())
    kind = Messages

class Racing(kind):
    # A client sends while a poller reads the messages.
    def __iter__(self):
        yield from super().__iter__()
        self.append({"receipt_handle": None, "id": "new"})

    def with_handle(self, handle):
        message = super().with_handle(handle)
        if message:
            self.append({"receipt_handle": None, "id": "new"})
        return message

url = sqs._queue_url("q")
sqs._queues[url] = {"messages": Racing([{"receipt_handle": "h", "id": "old"}]), "attributes": {}, "is_fifo": False}
sqs._delete_messages_for_esm(url, {"h", "other"})
print(len(sqs._queues[url]["messages"]))
"""


@pytest.mark.parametrize(("engine_is", "left"), [("plain", 0), ("fixed", 1)])
def test_a_message_sent_while_a_poller_deletes(engine_is: str, left: int, tmp_path: Any) -> None:
    run = subprocess.run(
        [sys.executable, "-c", RACE, engine_is], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert run.stdout.strip() == str(left), run.stderr


MOVE = """
import os, sys
from pathlib import Path

os.environ |= {"S3_PERSIST": "1", "S3_DATA_DIR": "live/s3"}
Path("shop").mkdir()
os.chdir("shop")
from ministack.services import s3
from rtp.local.patches.install import install_all
from rtp.local.telemetry import Telemetry

if sys.argv[1] == "fixed":
    install_all(Telemetry())

# The folder is moved between the two: where to write, and to write.
path = s3._object_disk_path("bucket", "raw/key", "000000000000")
Path("../shop").rename("../moved")
os.makedirs(os.path.dirname(path))
s3._atomic_write(path, b"body")
print(Path("../shop").exists())
os.makedirs("live/s3/000000000000/bucket", exist_ok=True)
os.symlink("/", "live/s3/000000000000/bucket/out")
print(s3._object_disk_path("bucket", "out/key", "000000000000").endswith("bucket/out/key"))
"""


@pytest.mark.parametrize(("engine_is", "old_name"), [("plain", "True"), ("fixed", "False")])
def test_an_object_written_while_the_folder_is_moved(engine_is: str, old_name: str, tmp_path: Any) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MOVE, engine_is], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    # Then no folder of the old name is created, and no link leads out of the bucket
    assert run.stdout.split() == [old_name, "False"], run.stderr


@pytest.mark.parametrize("without", ["", "deferred"])
def test_a_saved_stack_is_restored_with_and_without_deferred_loading(
    make_lab: Callable[..., Lab], without: str
) -> None:
    # Given an engine that has saved a stack
    lab = make_lab()
    assert _stack(lab, "saved", {"B": {"Type": "AWS::S3::Bucket", "Properties": {}}}) == "CREATE_COMPLETE"
    root = lab.engine.log_file.parents[2]
    engines.stop(root)
    # When it starts again
    again = type(lab)(engines.start(root, extra_env={"RTP_LOCAL_WITHOUT": without}))
    # Then the stack is there with its resource, and so are the patches of CloudFormation
    found = again.call("cloudformation", "describe_stack_resources", StackName=f"saved-{lab.name}")["StackResources"]
    assert [resource["LogicalResourceId"] for resource in found] == ["B"]
    assert not an_alarm_over_metric_math_fails_its_stack(again)


# Another engine than the one that the patches are written for: a module of it is changed as it is imported.
ANOTHER_ENGINE = """
import importlib.machinery, sys

class Changed:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "ministack.services.{module}":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            {change}
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Changed)
"""


WITHOUT_BUCKETS = "module._RESOURCE_HANDLERS['AWS::S3::Bucket'] = {}"


def another_engine(folder: Path, module: str, change: str, version: str = "") -> dict[str, str]:
    """The environment in which an engine with this change is imported, as of this version where one is given."""
    (folder / "sitecustomize.py").write_text(ANOTHER_ENGINE.format(module=module, change=change))
    if version:
        metadata = folder / f"ministack-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: ministack\nVersion: {version}\n")
    return {"PYTHONPATH": str(folder)}


def test_a_patch_that_does_not_apply_stops_the_start(tmp_path: Path, make_lab: Callable[..., Lab]) -> None:
    environ = another_engine(tmp_path, "sqs", "module._collect_msgs = lambda queue: []")
    # When / Then the patch is named with the difference and the fix
    with pytest.raises(ConfigError) as caught:
        make_lab(**environ)
    assert (caught.value.exit_code, caught.value.code) == (3, "engine-patch")
    assert "queues: ministack.services.sqs._collect_msgs takes (queue)" in caught.value.message
    assert "pip install 'realtime-processor[local]'" in str(caught.value.hint)
    # And without it the engine starts
    lab = make_lab(**environ, RTP_LOCAL_WITHOUT="queues")
    assert lab.queue()[0]


def test_a_patch_of_cloudformation_stops_the_start_of_another_version(
    tmp_path: Path, make_lab: Callable[..., Lab]
) -> None:
    environ = another_engine(tmp_path, "cloudformation.provisioners", WITHOUT_BUCKETS, "99.0")
    with pytest.raises(ConfigError, match=r"MiniStack 1\S+: stack_buckets: AWS::S3::Bucket is not created"):
        make_lab(**environ)


@pytest.mark.long
def test_a_changed_cloudformation_of_the_same_version_stops_the_start_and_keeps_the_save(
    tmp_path: Path, make_lab: Callable[..., Lab]
) -> None:
    # Given a stack in the save of an engine
    lab = make_lab()
    assert _stack(lab, "kept", {"B": {"Type": "AWS::S3::Bucket", "Properties": {}}}) == "CREATE_COMPLETE"
    root = lab.engine.log_file.parents[2]
    engines.stop(root)
    # When CloudFormation, which is else loaded after the start, is not the one that its patches are written for
    environ = another_engine(tmp_path, "cloudformation.provisioners", WITHOUT_BUCKETS)
    with pytest.raises(ConfigError, match="stack_buckets: AWS::S3::Bucket is not created"):
        engines.start(root, extra_env=environ)
    # Then the stack is there again with the right one
    again = type(lab)(engines.start(root))
    assert again.call("cloudformation", "describe_stacks", StackName=f"kept-{lab.name}")["Stacks"]
