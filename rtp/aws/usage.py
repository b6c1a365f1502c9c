"""API Gateway usage plans: what a key may still send today."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class Quota:
    """Requests of one API key.

    limit: allowed in one period. used: in the current period. left: until its end. period: DAY, WEEK or MONTH.
    """

    limit: int
    used: int
    left: int
    period: str


def quota(aws: Aws, plan: str, key: str) -> Quota | None:
    """What is left of a key's quota; None for a plan without one. Raises AwsError where usage is not told."""
    limits = aws.call("apigateway", "get_usage_plan", usagePlanId=plan).get("quota") or {}
    if not limits.get("limit"):
        return None
    limit, period = int(limits["limit"]), str(limits.get("period", "DAY"))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    told = aws.call("apigateway", "get_usage", usagePlanId=plan, keyId=key, startDate=today, endDate=today)
    if "startDate" not in told:
        raise AwsError(f"{aws.endpoint_url or 'API Gateway'} does not tell the usage of a plan.", code="no-usage")
    days = (told.get("items") or {}).get(key)
    if not days:  # a key that has not been used today is not listed
        return Quota(limit, 0, limit, period)
    used, left = int(days[-1][0]), int(days[-1][1])
    return Quota(limit, used, left, period)
