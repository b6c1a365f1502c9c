"""CloudFormation: what a stack is, what it promised, and what is happening to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from rtp.aws import Aws

# A stack of which nothing has been deployed yet, or nothing is left.
NEVER_WORKED = ("REVIEW_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED")


@dataclass(frozen=True, slots=True)
class Event:
    """One stack event. Times are aware datetimes."""

    id: str
    stack_id: str
    time: datetime
    logical_id: str
    physical_id: str
    resource_type: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a deployed stack."""

    logical_id: str
    physical_id: str
    resource_type: str
    status: str


def describe(aws: Aws, stack: str) -> dict[str, Any] | None:
    """DescribeStacks' description by name or id, or None where there is no such stack."""
    try:
        found = aws.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"]
    except AwsError as error:
        if _missing(error):
            return None
        raise
    return found[0] if found and found[0]["StackStatus"] != "DELETE_COMPLETE" else None


def outputs(aws: Aws, stack: str) -> dict[str, str]:
    """The stack's outputs by key. Raises NotFoundError when it is not deployed."""
    return outputs_of(deployed(aws, stack, describe(aws, stack)))


def deployed(aws: Aws, stack: str, found: dict[str, Any] | None) -> dict[str, Any]:
    """The description of a stack that works or has worked. Raises NotFoundError for every other."""
    if found is None or found["StackStatus"] in NEVER_WORKED:
        raise NotFoundError(f"{stack} is not deployed in {aws.region}.", hint="Run `rtp deploy`.", code="not-deployed")
    return found


def tags_of(description: Mapping[str, Any]) -> dict[str, str]:
    """Tags by key out of DescribeStacks' description."""
    return {t["Key"]: t["Value"] for t in description.get("Tags", ())}


def outputs_of(description: dict[str, Any]) -> dict[str, str]:
    """Outputs by key out of DescribeStacks' description."""
    return {o["OutputKey"]: o["OutputValue"] for o in description.get("Outputs", ())}


def template_of(aws: Aws, description: dict[str, Any] | None) -> dict[str, Any]:
    """The template of a stack that was described; empty where nothing has been deployed yet."""
    if description is None or description["StackStatus"] == "REVIEW_IN_PROGRESS":
        return {}
    return template(aws, str(description["StackId"]))


def template(aws: Aws, stack: str) -> dict[str, Any]:
    """The template as it was deployed."""
    body = aws.call("cloudformation", "get_template", StackName=stack, TemplateStage="Original")["TemplateBody"]
    parsed: dict[str, Any] = json.loads(body or "{}") if isinstance(body, str) else dict(body)
    return parsed


def resources(aws: Aws, stack: str) -> list[Resource]:
    """What the stack holds; without what it has deleted."""
    found = aws.pages("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
    return [
        Resource(r["LogicalResourceId"], r.get("PhysicalResourceId", ""), r["ResourceType"], r["ResourceStatus"])
        for r in found
        if r["ResourceStatus"] != "DELETE_COMPLETE"
    ]


def last_event(aws: Aws, stack: str) -> str | None:
    """Id of the newest event; None for an unknown stack or one without any."""
    try:
        found = aws.call("cloudformation", "describe_stack_events", StackName=stack)["StackEvents"]
    except AwsError as error:
        if _missing(error):
            return None
        raise
    return found[0]["EventId"] if found else None


def events_since(aws: Aws, stack: str, seen: set[str]) -> list[Event]:
    """Events whose ids are not in `seen`, oldest first; their ids are added to it. Empty for an unknown stack."""
    new: list[Event] = []
    try:
        for e in aws.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=stack):
            if e["EventId"] in seen:
                break
            seen.add(e["EventId"])
            new.append(_event(e))
    except AwsError as error:
        if not _missing(error):
            raise
    return new[::-1]


def refusals(aws: Aws, stack: str) -> list[Event]:
    """What CloudFormation found wrong before it began with the last operation, such as a name that is taken."""
    found = [
        e
        for e in aws.pages("cloudformation", "describe_events", "OperationEvents", StackName=stack)
        if e.get("EventType") == "VALIDATION_ERROR" and e.get("ValidationStatus") == "FAILED"
    ]
    return [
        Event(
            id=e["EventId"],
            stack_id=e.get("StackId", ""),
            time=e["Timestamp"],
            logical_id=e.get("LogicalResourceId", ""),
            physical_id=e.get("PhysicalResourceId", ""),
            resource_type=e.get("ResourceType", ""),
            status=str(e.get("ValidationName", "VALIDATION_FAILED")),
            reason=e.get("ValidationStatusReason", ""),
        )
        for e in found
        if e.get("OperationId") == found[0].get("OperationId")
    ]


def physical_id(aws: Aws, stack: str, logical_id: str) -> str:
    """Physical id of one resource; empty where it has none yet. Raises AwsError for an unknown one."""
    answer = aws.call("cloudformation", "describe_stack_resource", StackName=stack, LogicalResourceId=logical_id)
    return str(answer["StackResourceDetail"].get("PhysicalResourceId") or "")


def create(aws: Aws, stack: str, body: str, parameters: Mapping[str, str]) -> None:
    """Start the creation of a stack from a template, without a change set."""
    aws.call(
        "cloudformation",
        "create_stack",
        StackName=stack,
        TemplateBody=body,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )


def delete(aws: Aws, stack: str) -> None:
    """Start the deletion."""
    aws.call("cloudformation", "delete_stack", StackName=stack)


def protect(aws: Aws, stack: str, *, on: bool) -> None:
    """Switch termination protection."""
    aws.call("cloudformation", "update_termination_protection", StackName=stack, EnableTerminationProtection=on)


def continue_rollback(aws: Aws, stack: str, *, skip: tuple[str, ...] = ()) -> None:
    """Go on with an update's rollback that got stuck, leaving out the resources to skip."""
    extra = {"ResourcesToSkip": list(skip)} if skip else {}
    aws.call("cloudformation", "continue_update_rollback", StackName=stack, **extra)


def roll_back(aws: Aws, stack: str) -> None:
    """Take a stack that failed without rollback back to its last good state."""
    aws.call("cloudformation", "rollback_stack", StackName=stack)


def _missing(error: AwsError) -> bool:
    return error.service_code == "ValidationError" and "does not exist" in error.message


def _event(e: dict[str, Any]) -> Event:
    return Event(
        id=e["EventId"],
        stack_id=e.get("StackId", ""),
        time=e["Timestamp"],
        logical_id=e["LogicalResourceId"],
        physical_id=e.get("PhysicalResourceId", ""),
        resource_type=e.get("ResourceType", ""),
        status=e.get("ResourceStatus", ""),
        reason=e.get("ResourceStatusReason", ""),
    )
