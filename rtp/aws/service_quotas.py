"""Service Quotas: the quotas of the account in its region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws


def applied(aws: Aws, service: str, code: str) -> float:
    """The account's value of a quota, AWS's default where the account has none of its own. Raises AwsError."""
    try:
        answer = aws.call("service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)
    except AwsError as error:
        if error.service_code != "NoSuchResourceException":
            raise
        answer = aws.call("service-quotas", "get_aws_default_service_quota", ServiceCode=service, QuotaCode=code)
    return float(answer["Quota"]["Value"])
