"""What empties the buckets of a stack on AWS does not do so while the stack stays, whatever its updates come to."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import buckets, changesets, functions, stacks
from rtp.contract import EMPTIER_HANDLER, EMPTIER_TYPE
from rtp.local import engine as engines
from tests.local.conftest import Project
from tests.local.deploy.conftest import PROCESSORS, SETTINGS
from tests.local.deploy.distant import Distant, distant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws

STACK = "realtime-processor-dev"
BUCKET = f"{STACK}-000000000000-us-east-1"
EMPTIER = f"{STACK}-emptier"

# What rtp 0.1.0 deployed: it empties the buckets whenever it is sent Delete.
OLD_HANDLER = "rtp.runtime.emptier.handler"
OLD_CODE = """\
import json
import urllib.request

import boto3


def handler(event, context):
    if event["RequestType"] == "Delete":
        s3 = boto3.client("s3")
        for bucket in event["ResourceProperties"]["Buckets"]:
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                for one in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
                    s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
    body = {k: event[k] for k in ("StackId", "RequestId", "LogicalResourceId")}
    body |= {"Status": "SUCCESS", "PhysicalResourceId": event["LogicalResourceId"]}
    request = urllib.request.Request(event["ResponseURL"], json.dumps(body).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=15).close()
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Distant]:
    """A pipeline made as on AWS, that has processed two events."""
    project = Project(tmp_path_factory.mktemp("distant"))
    (project.root / "processors.py").write_text(PROCESSORS)
    protect(project, False)
    try:
        with distant(project) as found:
            found.rtp("bootstrap", "--yes")
            deploy(found)
            for _ in range(2):
                found.rtp("send", "--type", "n", "--data", "{}")
            yield found
    finally:
        engines.stop(project.root)


@pytest.fixture
def far(shared: Distant) -> Distant:
    """The pipeline, unprotected and guarded, whatever an earlier test did."""
    protect(shared.project, False)
    deploy(shared)
    assert has_emptier(shared.project.aws) and len(objects(shared.project.aws)) >= 4
    return shared


def protect(project: Project, on: bool) -> None:
    (project.root / "rtp.toml").write_text(f"{SETTINGS}[env.dev]\nprotected = {str(on).lower()}\n")


def deploy(far: Distant, **more: Any) -> Any:
    return far.rtp(
        "deploy",
        "--yes",
        "--no-smoke",
        "--watch-alarms",
        "0s",
        "--json",
        "--make-logging-role",
        "--confirm",
        STACK,
        **more,
    )


def objects(aws: Aws) -> list[tuple[str, str]]:
    """Every version in the bucket of the events."""
    found = aws.call("s3", "list_object_versions", Bucket=BUCKET)
    return sorted((v["Key"], v["VersionId"]) for v in found.get("Versions", ()))


def has_emptier(aws: Aws) -> bool:
    return any(r.resource_type == EMPTIER_TYPE for r in stacks.resources(aws, STACK))


def failing(template: dict[str, Any]) -> str:
    """The template with a resource that fails once everything else is there."""
    resources = template["Resources"]
    handle = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    signal = {
        "Type": "AWS::CloudFormation::WaitCondition",
        "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "1"},
        "DependsOn": list(resources),
    }
    return json.dumps({**template, "Resources": {**resources, "Handle": handle, "Signal": signal}})


def ended(aws: Aws, start: Callable[[], object]) -> str:
    """The stack's state after the update that `start` begins. Descriptions may be from before it for a while."""
    before = stacks.describe(aws, STACK)
    start()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        stack = stacks.describe(aws, STACK)
        if stack and before and stack.updated != before.updated and not stack.state.busy:
            return str(stack.state)
        time.sleep(0.1)
    raise AssertionError("the stack has not settled")


def as_by_an_older_rtp(aws: Aws, template: dict[str, Any]) -> dict[str, Any]:
    """The template with the function of rtp 0.1.0, whose code is published."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("rtp/__init__.py", "rtp/runtime/__init__.py"):
            archive.writestr(name, "")
        archive.writestr("rtp/runtime/emptier.py", OLD_CODE)
    changed: dict[str, Any] = json.loads(json.dumps(template))
    (function,) = (
        r["Properties"] for r in changed["Resources"].values() if r.get("Properties", {}).get("FunctionName") == EMPTIER
    )
    bucket = f"cdk-hnb659fds-assets-{aws.account}-{aws.region}"
    aws.call("s3", "put_object", Bucket=bucket, Key="old.zip", Body=packed.getvalue())
    function |= {"Handler": OLD_HANDLER, "Code": {"S3Bucket": bucket, "S3Key": "old.zip"}}
    return changed


def test_protecting_a_live_environment_keeps_every_object(far: Distant) -> None:
    # Given events in the bucket of an unprotected environment
    aws, before = far.project.aws, objects(far.project.aws)
    assert has_emptier(aws)
    unprotected = stacks.template(aws, STACK)
    # When it becomes protected, which removes what empties its buckets
    protect(far.project, True)
    result = deploy(far).lines[-1]
    # Then nothing is missing
    assert (result["status"], has_emptier(aws), objects(aws)) == ("updated", False, before)

    # When an update that would add it again fails and is rolled back
    assert ended(aws, lambda: changesets.update_now(aws, STACK, failing(unprotected))) == "UPDATE_ROLLBACK_COMPLETE"
    # Then nothing is missing
    assert (has_emptier(aws), objects(aws)) == (False, before)


@pytest.mark.long
def test_an_older_emptier_is_replaced_before_a_rollback(far: Distant) -> None:
    # Given an environment that an older rtp has deployed
    aws, before = far.project.aws, objects(far.project.aws)
    guarded = stacks.template(aws, STACK)
    old = as_by_an_older_rtp(aws, guarded)
    assert ended(aws, lambda: changesets.update_now(aws, STACK, json.dumps(old))) == "UPDATE_COMPLETE"
    assert functions.handler(aws, EMPTIER) == OLD_HANDLER

    # When it is to become protected
    protect(far.project, True)
    said = far.rtp("deploy", "--dry-run", "--no-smoke").stderr
    refused = far.rtp("deploy", "--yes", "--no-smoke", ok=False)
    # Then that is refused, with what is to be done first, and nothing has happened
    assert "would be refused" in said and EMPTIER in said
    assert refused.code == 5 and EMPTIER in refused.stderr and "protected = false" in refused.stderr
    assert (stacks.template(aws, STACK), objects(aws)) == (old, before)

    # When that is done
    protect(far.project, False)
    deploy(far)
    assert functions.handler(aws, EMPTIER) == EMPTIER_HANDLER
    protect(far.project, True)
    deploy(far)
    # Then it is protected, and nothing is missing
    assert (has_emptier(aws), objects(aws)) == (False, before)

    # Given an update by the older rtp that added its function, failed, and was left as it is
    update = {
        "TemplateURL": buckets.publish(aws, failing(old).encode(), ".json"),
        "DisableRollback": True,
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    outcome = ended(aws, lambda: aws.call("cloudformation", "update_stack", StackName=STACK, **update))
    assert outcome == "UPDATE_FAILED"
    assert functions.handler(aws, EMPTIER) == OLD_HANDLER
    # When a deploy rolls it back first
    done = far.rtp("deploy", "--yes", "--no-smoke", "--watch-alarms", "0s")
    # Then the function was replaced before that, and nothing is missing
    assert f"{EMPTIER} was deployed by an older rtp" in done.stderr
    assert (has_emptier(aws), objects(aws)) == (False, before)


def test_a_destroy_that_keeps_the_data_keeps_every_object(far: Distant) -> None:
    # Given a stack that would empty its buckets / When it is destroyed, and its data is to be kept
    aws, before = far.project.aws, objects(far.project.aws)
    far.rtp("destroy", "--keep-data", "--yes")
    # Then the stack is gone and the objects are not
    assert (stacks.describe(aws, STACK), objects(aws)) == (None, before)
    # When a deploy is to adopt them where API Gateway has no role to write logs with
    no_role = {"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}
    aws.call("apigateway", "update_account", patchOperations=[no_role])
    refused = far.rtp("deploy", "--adopt", "--yes", "--no-smoke", ok=False)
    # Then that is refused before anything is imported
    assert refused.code == 3 and "--make-logging-role" in refused.stderr
    assert stacks.describe(aws, STACK) is None
