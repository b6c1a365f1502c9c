"""With AUTH=true the engine enforces IAM: what the pipeline's policies say can be tried here."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from rtp.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.local.engine.conftest import Lab

CODE = """
import boto3
def handler(event, context):
    boto3.client("s3").put_object(Bucket=event["bucket"], Key=event["key"], Body=b"x")
    return "written"
"""


@pytest.fixture(scope="module")
def strict(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(AUTH="true")


def test_a_bucket_that_requires_tls_accepts_requests_over_loopback(strict: Lab) -> None:
    bucket = f"{strict.name}-tls"
    arns = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    insecure = {"Bool": {"aws:SecureTransport": "false"}}
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns, "Condition": insecure}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    strict.call("s3", "create_bucket", Bucket=bucket)
    strict.call("s3", "put_bucket_policy", Bucket=bucket, Policy=policy)
    strict.call("s3", "put_object", Bucket=bucket, Key="key", Body=b"x")


def test_a_function_may_do_what_its_role_allows_and_nothing_else(strict: Lab) -> None:
    # Given a role for one prefix
    bucket, role = f"{strict.name}-role", f"{strict.name}-role"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/raw/*"}
    strict.call("s3", "create_bucket", Bucket=bucket)
    arn = strict.call("iam", "create_role", RoleName=role, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    strict.call("iam", "put_role_policy", RoleName=role, PolicyName="raw", PolicyDocument=_policy(allowed))
    function = strict.function(CODE, name=f"{strict.name}-writer", Role=arn)
    # When, Then
    assert strict.invoke(function, {"bucket": bucket, "key": "raw/x"}) == "written"
    refusal = strict.invoke(function, {"bucket": bucket, "key": "other/x"})["errorMessage"]
    assert "AccessDenied" in refusal
    assert f"perform: s3:PutObject on resource: arn:aws:s3:::{bucket}/other/x" in refusal
    # And its key cannot be worked out from names
    worked_out = hashlib.sha256(f"{function}:{arn}".encode()).hexdigest()[:16].upper()
    assert strict.request("GET", "/", headers=strict.signature("s3", f"ASIA{worked_out}"))[0] == 403


def test_access_control_and_x_ray_work_as_without_policies(strict: Lab) -> None:
    assert strict.request("POST", "/_ministack/reset")[0] == 403
    with pytest.raises(AwsError, match="trace id"):
        strict.call("xray", "batch_get_traces", TraceIds=["x"])


def _policy(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
