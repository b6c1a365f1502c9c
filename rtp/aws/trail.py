"""CloudTrail: who deployed a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.aws import Aws

_DEPLOYS = ("CreateStack", "UpdateStack", "ExecuteChangeSet", "CreateChangeSet")
_MOST = 50  # events that are read


def deployer(aws: Aws, stack: str) -> str | None:
    """Name of the user who changed a stack last; None where CloudTrail has no such event of the last 90 days."""
    events = aws.pages(
        "cloudtrail",
        "lookup_events",
        "Events",
        LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": stack}],
        PaginationConfig={"MaxItems": _MOST},
    )
    for event in events:  # newest first
        if event.get("EventName") in _DEPLOYS and event.get("Username"):
            return str(event["Username"])
    return None
