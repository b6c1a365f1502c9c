"""An unprotected stack that is deleted elsewhere, in the console say, takes full buckets and log groups with it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from rtp.aws import Aws, buckets
from rtp.config import Environment
from rtp.ops.stack.build.synth import Assembly, synth
from tests.local.deploy.signals import fail, handle

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.local.engine import Engine

REGION, ACCOUNT = "us-east-1", "000000000000"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Environment, Assembly]:
    """An environment of an account, with its assembly."""
    env = Environment(name="dev", root=tmp_path_factory.mktemp("made"), project=f"p{uuid4().hex[:8]}", region=REGION)
    return env, synth(env, account=ACCOUNT)


def test_deleting_the_stack_elsewhere_leaves_nothing(engine: Engine, made: tuple[Environment, Assembly]) -> None:
    # Given: a stack made for AWS, and versions in its bucket.
    aws, env, template = _ready(engine, *made)
    stack = env.names.stack
    aws.call("cloudformation", "create_stack", StackName=stack, TemplateURL=template)
    assert settled(aws, stack) == "CREATE_COMPLETE"
    _fill(aws, env)
    assert _left(aws, stack)["buckets"] == 2

    # When: somebody deletes it without rtp.
    aws.call("cloudformation", "delete_stack", StackName=stack)

    # Then: nothing of it is left.
    assert settled(aws, stack) == "gone"
    assert _left(aws, stack) == {"buckets": 0, "log groups": 0}


def test_a_creation_that_fails_late_leaves_nothing(engine: Engine, made: tuple[Environment, Assembly]) -> None:
    # Given: a stack made for AWS whose last resource waits for a signal, and versions in its bucket already.
    aws, env, template = _ready(engine, *made, waits=True)
    stack = env.names.stack
    aws.call("cloudformation", "create_stack", StackName=stack, TemplateURL=template)
    url = handle(aws, stack)
    _fill(aws, env)

    # When: the signal is that of a failure, upon which CloudFormation rolls the creation back.
    fail(url)

    # Then: the rollback did not stop at the bucket, and nothing is left.
    assert settled(aws, stack) == "ROLLBACK_COMPLETE"
    assert _left(aws, stack) == {"buckets": 0, "log groups": 0}


def _ready(engine: Engine, env: Environment, built: Assembly, *, waits: bool = False) -> tuple[Aws, Environment, str]:
    """The URL of a template made for AWS whose assets are published. waits: its last resource needs a signal."""
    aws = Aws(region=REGION, endpoint_url=engine.endpoint_url, local=True, keys=engine.keys)
    upload(aws, built.path, env.names.stack)
    template = {**built.template}
    template.pop("Rules", None)  # they ask for a bootstrapped account
    template.pop("Parameters", None)
    if waits:
        signal = {"Handle": {"Ref": "Handle"}, "Timeout": "600"}
        template["Resources"] = {
            **template["Resources"],
            "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle", "DependsOn": list(template["Resources"])},
            "Signal": {"Type": "AWS::CloudFormation::WaitCondition", "Properties": signal},
        }
    return aws, env, buckets.publish(aws, json.dumps(template).encode(), ".json")


def _fill(aws: Aws, env: Environment) -> None:
    """Versions and a delete marker."""
    bucket = env.names.bucket(ACCOUNT, REGION)
    for number in range(3):
        for _ in range(2):
            aws.call("s3", "put_object", Bucket=bucket, Key=f"raw/{number}", Body=b"x")
    aws.call("s3", "delete_object", Bucket=bucket, Key="raw/0")


def upload(aws: Aws, assembly: Path, stack: str) -> None:
    """Publish the assembly's assets where its template looks for them."""
    files = json.loads((assembly / f"{stack}.assets.json").read_text())["files"].values()
    for file in files:
        for destination in file["destinations"].values():
            bucket = destination["bucketName"]
            if bucket not in _buckets(aws):
                aws.call("s3", "create_bucket", Bucket=bucket)
            body = (assembly / file["source"]["path"]).read_bytes()
            aws.call("s3", "put_object", Bucket=bucket, Key=destination["objectKey"], Body=body)


def settled(aws: Aws, stack: str) -> str:
    """The stack's state once nothing more happens; `gone` when there is none."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        summaries: list[dict[str, Any]] = aws.call("cloudformation", "list_stacks")["StackSummaries"]
        states = [
            s["StackStatus"] for s in summaries if s["StackName"] == stack and s["StackStatus"] != "DELETE_COMPLETE"
        ]
        if not states or not states[0].endswith("_IN_PROGRESS"):
            return states[0] if states else "gone"
        time.sleep(0.2)
    raise AssertionError(f"{stack} does not settle")


def _left(aws: Aws, stack: str) -> dict[str, int]:
    groups = aws.call("logs", "describe_log_groups", logGroupNamePrefix=f"/aws/lambda/{stack}")["logGroups"]
    return {"buckets": sum(name.startswith(stack) for name in _buckets(aws)), "log groups": len(groups)}


def _buckets(aws: Aws) -> list[str]:
    return [bucket["Name"] for bucket in aws.call("s3", "list_buckets")["Buckets"]]
