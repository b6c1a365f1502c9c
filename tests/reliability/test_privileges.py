"""Least privilege (C28): with IAM enforced the pipeline works, and every action that its roles have is needed."""

from __future__ import annotations

import copy
import http.client
import json
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from rtp.aws import api
from rtp.config import Environment
from rtp.contract import EMPTIER_TYPE, LOCAL_ACCOUNT
from rtp.ops.events.identity import uuid7
from rtp.ops.stack.build.synth import synth
from tests.local.deploy.test_cleanup import settled, upload
from tests.reliability.conftest import Rig, pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("reliability-alone")

# Actions that AWS requires and the engine does not: it enforces no key policies, delivers messages and logs itself, and
# has another name for PartiQL's actions, so that batches are written singly.
NOT_ENFORCED = {
    "dynamodb:PartiQLInsert",
    "dynamodb:PartiQLUpdate",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


_NAMED = ["CAPABILITY_NAMED_IAM"]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A pipeline on an engine that enforces IAM."""
    with pipeline(tmp_path_factory.mktemp("strict"), enforce_iam=True) as rig:
        yield rig


def test_the_pipeline_works_with_what_its_roles_allow(strict: Rig) -> None:
    assert processor_does(strict) == set(PROCESSOR)
    assert worker_does(strict, seconds=180) == set(WORKER)


@pytest.mark.reliability
@pytest.mark.parametrize(("function", "kinds"), [("ProcessorName", "PROCESSOR"), ("WorkerName", "WORKER")])
def test_each_action_is_needed(strict: Rig, function: str, kinds: str) -> None:
    does, whole = (processor_does, set(PROCESSOR)) if kinds == "PROCESSOR" else (worker_does, set(WORKER))
    role, name, document = policy(strict, function)
    assert does(strict) == whole
    unneeded = []
    for number, statement in enumerate(document["Statement"]):
        for action in actions(statement):
            if action in NOT_ENFORCED:
                continue
            less = copy.deepcopy(document)
            less["Statement"][number]["Action"] = [a for a in actions(statement) if a != action] or [
                "sts:GetCallerIdentity"
            ]
            put(strict, role, name, less)
            if does(strict) == whole:
                unneeded.append((statement["Sid"], action))
            put(strict, role, name, document)
    assert unneeded == []


@pytest.mark.long
def test_the_emptier_works_with_what_its_role_allows(strict: Rig, tmp_path: Path) -> None:
    # Given the emptier and the buckets of a stack for AWS / When it is deleted, with objects in a bucket
    # Then the deletion succeeds
    assert emptied(strict, tmp_path, without="") == "gone"


@pytest.mark.reliability
@pytest.mark.parametrize(
    "action",
    # AWS requires s3:DeleteObjectVersion to delete a version; the engine requires s3:DeleteObject.
    ["cloudformation:DescribeStacks", "s3:GetBucketTagging", "s3:ListBucketVersions", "s3:DeleteObject"],
)
def test_each_action_of_the_emptier_is_needed(strict: Rig, tmp_path: Path, action: str) -> None:
    assert emptied(strict, tmp_path, without=action) == "DELETE_FAILED"


def emptied(rig: Rig, folder: Path, *, without: str) -> str:
    """Return the status after the deletion of a stack with a full bucket. without: an action that its role lacks."""
    env = Environment(name="dev", root=folder, project=f"p{uuid7()[-8:]}")
    built = synth(env, account=LOCAL_ACCOUNT)
    resources = built.template["Resources"]
    (custom_resource,) = (k for k, r in resources.items() if r["Type"] == EMPTIER_TYPE)
    needed, todo = set(), {custom_resource}
    while todo:
        needed |= todo
        texts = json.dumps([resources[name] for name in todo])
        todo = {name for name in resources if f'"{name}"' in texts} - needed
    (role,) = (resources[k] for k in needed if resources[k]["Type"] == "AWS::IAM::Role")
    statements = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert not without or any(without in actions(s) for s in statements)
    for statement in statements:
        statement["Action"] = [a for a in actions(statement) if a != without] or ["sts:GetCallerIdentity"]
    upload(rig.aws, built.path, env.names.stack)
    body = json.dumps({"Resources": {k: resources[k] for k in needed}})
    rig.aws.call("cloudformation", "create_stack", StackName=env.names.stack, TemplateBody=body, Capabilities=_NAMED)
    assert settled(rig.aws, env.names.stack) == "CREATE_COMPLETE"
    rig.aws.call("s3", "put_object", Bucket=env.names.bucket(LOCAL_ACCOUNT, env.region), Key="k", Body=b"x")
    rig.aws.call("cloudformation", "delete_stack", StackName=env.names.stack)
    return settled(rig.aws, env.names.stack)


PROCESSOR = (
    "stores",
    "works",
    "reads secrets",
    "queues failures",
    "moves rejected to the DLQ",
    "repeats a large response",
    "waits",
)
WORKER = ("stores", "works", "reads secrets", "moves rejected to the DLQ", "delays failures")


def processor_does(rig: Rig) -> set[str]:
    """Return which of its duties the API function fulfils."""
    rig.begin()
    done = set()
    if post(rig, "stored")[0] == 200:
        done.add("stores")
    if post(rig, "work", n=1)[0] == 200:
        done.add("works")
    if post(rig, "secret")[0] == 200:
        done.add("reads secrets")
    if post(rig, "poison", n=2)[0] == 202:
        done.add("queues failures")
    rejected, _ = post(rig, "poison", n=1)
    if rejected == 422 and rig.dlq():
        done.add("moves rejected to the DLQ")
    large = uuid7()
    first, second = (post(rig, "large", id=large, bytes=200_000) for _ in range(2))
    if first == second and first[0] == 200:
        done.add("repeats a large response")
    slow, answers = uuid7(), []
    one = threading.Thread(target=lambda: answers.append(post(rig, "slow", id=slow, seconds=0.8)))
    one.start()
    time.sleep(0.3)
    answers.append(post(rig, "slow", id=slow, seconds=0.8))
    one.join()
    if [status for status, _ in answers] == [200, 200]:
        done.add("waits")
    return done


def worker_does(rig: Rig, seconds: float = 8) -> set[str]:
    """Return which of its duties the worker fulfils within the time, as soon as it fulfils all."""
    rig.begin()
    kinds = {"stores": "stored", "works": "work", "reads secrets": "secret"}
    sent = {name: rig.events(1, type=kind) for name, kind in kinds.items()}
    odd = {"id": uuid7(), "type": "poison", "data": {"n": 1}}
    even = {"id": uuid7(), "type": "poison", "data": {"n": 2}}
    for event in [*(event for events in sent.values() for event in events), odd, even]:
        rig.send([event])
    until = time.monotonic() + seconds
    done: set[str] = set()
    while time.monotonic() < until and len(done) < len(WORKER):
        time.sleep(0.3)
        records = {record["id"]: record for record in rig.records()}
        done |= {n for n, (event,) in sent.items() if records.get(event["id"], {}).get("status") == "processed"}
        if odd["id"] in rig.dlq():
            done.add("moves rejected to the DLQ")
        if records.get(even["id"], {}).get("attempt_count", 0) > 1:
            done.add("delays failures")
    return done


def post(rig: Rig, type: str, id: str = "", **data: Any) -> tuple[int, dict[str, Any]]:
    """POST /process with the stack's key."""
    parts = urlsplit(api.url(rig.outputs, rig.aws) + "process")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    headers = {"Content-Type": "application/json", "x-api-key": api.key(rig.aws, rig.outputs).value}
    body = json.dumps({"id": id or uuid7(), "type": type, "data": data})
    connection.request("POST", parts.path, body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    document: dict[str, Any] = json.loads(content)
    return answer.status, document


def policy(rig: Rig, output: str) -> tuple[str, str, dict[str, Any]]:
    """Return the role of a function, and its inline policy."""
    configuration = rig.aws.call("lambda", "get_function_configuration", FunctionName=rig.outputs[output])
    role = configuration["Role"].rsplit("/", 1)[-1]
    (name,) = rig.aws.call("iam", "list_role_policies", RoleName=role)["PolicyNames"]
    document = rig.aws.call("iam", "get_role_policy", RoleName=role, PolicyName=name)["PolicyDocument"]
    return role, name, json.loads(document) if isinstance(document, str) else document


def put(rig: Rig, role: str, name: str, document: dict[str, Any]) -> None:
    """Set the policy of a role."""
    rig.aws.call("iam", "put_role_policy", RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))


def actions(statement: dict[str, Any]) -> list[str]:
    """Return the actions of a statement."""
    names = statement["Action"]
    return [names] if isinstance(names, str) else list(names)
