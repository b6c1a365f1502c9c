"""CloudTrail: who did it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.aws import Aws

_DEPLOYS = ("CreateStack", "UpdateStack", "ExecuteChangeSet", "CreateChangeSet")
MOST = 50


def deployer(aws: Aws, stack: str) -> str | None:
    """The user name of the last who changed a stack, as far as CloudTrail still knows (90 days)."""
    found = aws.pages(
        "cloudtrail",
        "lookup_events",
        "Events",
        LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": stack}],
        PaginationConfig={"MaxItems": MOST},
    )
    for event in found:  # newest first
        if event.get("EventName") in _DEPLOYS and event.get("Username"):
            return str(event["Username"])
    return None
