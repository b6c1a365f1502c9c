"""A stack operation that goes on until the test ends it: a wait condition, and the signal that makes it fail."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtp.aws import Aws


def waiting(seconds: int) -> dict[str, Any]:
    """Resources that fail when no signal has come within `seconds`."""
    return {
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Signal": {
            "Type": "AWS::CloudFormation::WaitCondition",
            "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": str(seconds)},
        },
    }


def handle(aws: Aws, stack: str) -> str:
    """Where the signal goes, once the stack's operation has come so far."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = aws.call("cloudformation", "describe_stack_resources", StackName=stack)["StackResources"]
        url = next((r.get("PhysicalResourceId") for r in found if r["LogicalResourceId"] == "Handle"), None)
        if url:
            return str(url)
        time.sleep(0.2)
    raise AssertionError(f"{stack} has no handle")


def fail(url: str) -> None:
    """Signal a failure, upon which CloudFormation rolls the operation back."""
    body = json.dumps({"Status": "FAILURE", "Reason": "the test says so", "UniqueId": "1", "Data": ""})
    request = urllib.request.Request(url, body.encode(), {"Content-Type": ""}, method="PUT")  # noqa: S310 - the engine's
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - the engine's
