"""An unprotected stack that is deleted elsewhere, in the console say, takes full buckets and log groups with it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from rtp.aws import Aws
from rtp.config import Environment
from rtp.ops.stack.synth import synth

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.local.engine import Engine

REGION, ACCOUNT = "us-east-1", "000000000000"


def test_deleting_the_stack_elsewhere_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    # Given: a stack made for AWS, but for the metric math that the engine lacks, and versions in its bucket.
    aws = Aws(region=REGION, endpoint_url=engine.endpoint_url, local=True, keys=engine.keys)
    env = Environment(name="dev", root=tmp_path, project=f"p{uuid4().hex[:8]}", region=REGION)
    built = synth(env, account=ACCOUNT)
    stack = env.names.stack
    _upload(aws, built.path, stack)
    resources = {id: r for id, r in built.template["Resources"].items() if "Metrics" not in r.get("Properties", {})}
    template = {**built.template, "Resources": resources}
    template.pop("Rules", None)  # they ask for a bootstrapped account
    template.pop("Parameters", None)
    aws.call("cloudformation", "create_stack", StackName=stack, TemplateBody=json.dumps(template))
    assert _settled(aws, stack) == "CREATE_COMPLETE"
    bucket = env.names.bucket(ACCOUNT, REGION)
    for number in range(3):
        for _ in range(2):
            aws.call("s3", "put_object", Bucket=bucket, Key=f"raw/{number}", Body=b"x")
    aws.call("s3", "delete_object", Bucket=bucket, Key="raw/0")
    assert _left(aws, stack)["buckets"] == 2

    # When: somebody deletes it without rtp.
    aws.call("cloudformation", "delete_stack", StackName=stack)

    # Then: nothing of it is left.
    assert _settled(aws, stack) == "gone"
    assert _left(aws, stack) == {"buckets": 0, "log groups": 0}


def _upload(aws: Aws, assembly: Path, stack: str) -> None:
    """Publish the assembly's assets where its template looks for them."""
    files = json.loads((assembly / f"{stack}.assets.json").read_text())["files"].values()
    for file in files:
        for destination in file["destinations"].values():
            bucket = destination["bucketName"]
            if bucket not in _buckets(aws):
                aws.call("s3", "create_bucket", Bucket=bucket)
            body = (assembly / file["source"]["path"]).read_bytes()
            aws.call("s3", "put_object", Bucket=bucket, Key=destination["objectKey"], Body=body)


def _settled(aws: Aws, stack: str) -> str:
    """The stack's state once nothing more happens; `gone` when there is none."""
    deadline = time.monotonic() + 60
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
