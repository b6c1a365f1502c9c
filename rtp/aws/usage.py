"""API Gateway usage plans: the quota of a key, and its use."""

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


def used(aws: Aws, plan: str, *, days: int) -> dict[str, list[int]]:
    """Requests of each key of a usage plan on each of the last days (UTC), the oldest first. Raises AwsError."""
    today = time.time()
    start, end = (time.strftime("%Y-%m-%d", time.gmtime(t)) for t in (today - (days - 1) * 86_400, today))
    counts: dict[str, list[int]] = {}
    position: dict[str, str] = {}
    while True:
        page = aws.call(
            "apigateway", "get_usage", usagePlanId=plan, startDate=start, endDate=end, limit=500, **position
        )
        if "startDate" not in page:
            raise AwsError(f"{aws.endpoint_url or 'API Gateway'} does not report the usage of a plan.", code="no-usage")
        for key, rows in (page.get("items") or {}).items():
            counts.setdefault(key, []).extend(int(row[0]) for row in rows)
        following = page.get("position")
        if not following or {"position": following} == position:
            return counts
        position = {"position": following}


def quota(aws: Aws, plan: str, key: str) -> Quota | None:
    """A key's quota in a usage plan; None for a plan without one. Raises AwsError where no usage is reported."""
    limits = aws.call("apigateway", "get_usage_plan", usagePlanId=plan).get("quota") or {}
    if not limits.get("limit"):
        return None
    limit, period = int(limits["limit"]), str(limits.get("period", "DAY"))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    usage = aws.call("apigateway", "get_usage", usagePlanId=plan, keyId=key, startDate=today, endDate=today)
    if "startDate" not in usage:
        raise AwsError(f"{aws.endpoint_url or 'API Gateway'} does not report the usage of a plan.", code="no-usage")
    days = (usage.get("items") or {}).get(key)
    if not days:  # a key without requests today is not listed
        return Quota(limit, 0, limit, period)
    used, remaining = int(days[-1][0]), int(days[-1][1])
    return Quota(limit, used, remaining, period)
