"""The account and region as a whole: their clock, their parameters, and what API Gateway may do in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws.logs import server_ms
from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws


def clock_ms(aws: Aws) -> int | None:
    """AWS's clock, epoch ms, cut to the second; None where the answer has no date."""
    return server_ms(aws.call("sts", "get_caller_identity"))


def api_logging_role(aws: Aws) -> str:
    """ARN of the role that API Gateway writes logs with; empty where the account has none."""
    return str(aws.call("apigateway", "get_account").get("cloudwatchRoleArn") or "")


def parameter(aws: Aws, name: str) -> str | None:
    """Value of an SSM parameter; None where there is none of this name."""
    try:
        answer = aws.call("ssm", "get_parameter", Name=name)
    except AwsError as error:
        if error.service_code == "ParameterNotFound":
            return None
        raise
    return str(answer["Parameter"]["Value"])
