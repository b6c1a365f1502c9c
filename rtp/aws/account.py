"""The account and region as a whole: their clock, their parameters, and what API Gateway may do in them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rtp.aws.logs import server_ms
from rtp.contract import partition
from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws

API_LOGGING_ROLE = "rtp-api-gateway-logs"
API_LOGGING_POLICY = "AmazonAPIGatewayPushToCloudWatchLogs"


def clock_ms(aws: Aws) -> int | None:
    """AWS's clock, epoch ms, cut to the second; None where the answer has no date."""
    return server_ms(aws.call("sts", "get_caller_identity"))


def api_logging_role(aws: Aws) -> str:
    """ARN of the role that API Gateway writes logs with; empty where the account has none."""
    return str(aws.call("apigateway", "get_account").get("cloudwatchRoleArn") or "")


def create_api_logging_role(aws: Aws) -> str:
    """Create the role of this name, which the account's regions share; returns its ARN, also where it exists."""
    try:
        aws.call(
            "iam",
            "create_role",
            RoleName=API_LOGGING_ROLE,
            Description="Lets API Gateway write logs for all APIs of the account; made by rtp deploy.",
            AssumeRolePolicyDocument=json.dumps(_trust(aws.account)),
        )
    except AwsError as error:
        if error.service_code != "EntityAlreadyExists":
            raise
    return f"arn:{partition(aws.region)}:iam::{aws.account}:role/{API_LOGGING_ROLE}"


def set_api_logging_role(aws: Aws, arn: str) -> None:
    """Give AWS's policy to the role, and the role to API Gateway. Raises AwsError, also until both know a new role."""
    policy = api_logging_policy(aws.region)
    aws.call("iam", "attach_role_policy", RoleName=API_LOGGING_ROLE, PolicyArn=policy)
    replaced = {"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}
    aws.call("apigateway", "update_account", patchOperations=[replaced])


def api_logging_policy(region: str) -> str:
    """ARN of AWS's managed policy for API Gateway's logs."""
    return f"arn:{partition(region)}:iam::aws:policy/service-role/{API_LOGGING_POLICY}"


def _trust(account: str) -> dict[str, object]:
    """API Gateway may assume the role; where it names the account that it acts for, for this account only.

    AWS's documentation shows the role without a condition and does not say whether API Gateway sends the account.
    """
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEqualsIfExists": {"aws:SourceAccount": account}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def parameter(aws: Aws, name: str) -> str | None:
    """Value of an SSM parameter; None where there is none of this name."""
    try:
        answer = aws.call("ssm", "get_parameter", Name=name)
    except AwsError as error:
        if error.service_code == "ParameterNotFound":
            return None
        raise
    return str(answer["Parameter"]["Value"])
