"""CloudFormation: what a stack is and what it promised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, NotFoundError

if TYPE_CHECKING:
    from rtp.aws import Aws


def describe(aws: Aws, stack: str) -> dict[str, Any] | None:
    """DescribeStacks' description, or None where there is no such stack."""
    try:
        found = aws.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"]
    except AwsError as error:
        if error.service_code == "ValidationError" and "does not exist" in error.message:
            return None
        raise
    return found[0] if found and found[0]["StackStatus"] != "DELETE_COMPLETE" else None


def outputs(aws: Aws, stack: str) -> dict[str, str]:
    """The stack's outputs by key. Raises NotFoundError when it is not deployed."""
    found = describe(aws, stack)
    if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS":
        raise NotFoundError(f"{stack} is not deployed in {aws.region}.", hint="Run `rtp deploy`.", code="not-deployed")
    return {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", ())}
