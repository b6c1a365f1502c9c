"""CloudFormation: stacks, their resources and events, and the operations that need no change set."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from rtp.aws.states import ResourceStatus, StackState
from rtp.errors import AwsError, NotFoundError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from rtp.aws import Aws

_DELETED_STACKS = 2_000  # summaries that are read
_FORMER_STACKS = 10  # of one name, whose events are read


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as CloudFormation describes it.

    reason: of its state, where it failed. updated: its last update, or its creation.
    protected: termination protection is on. has_triggers: alarms are watched during its updates.
    """

    id: str
    name: str
    state: StackState
    reason: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    created: datetime | None = None
    updated: datetime | None = None
    protected: bool = False
    has_triggers: bool = False

    @property
    def imported(self) -> bool:
        """Whether it holds imported resources alone: no deploy has given it tags and outputs."""
        return self.state.imported and not self.outputs


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stack or of one of its resources. time: aware. token: that its operation was started with."""

    stack_id: str
    time: datetime
    logical_id: str
    physical_id: str
    resource_type: str
    status: ResourceStatus
    reason: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a deployed stack."""

    logical_id: str
    physical_id: str
    resource_type: str
    status: ResourceStatus


def describe(aws: Aws, stack: str) -> Stack | None:
    """A stack by its name or id; None where there is none, or where it is deleted."""
    try:
        descriptions = aws.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"]
    except AwsError as error:
        if is_missing(error):
            return None
        raise
    described = _stack(descriptions[0]) if descriptions else None
    return None if described is None or described.state.deleted else described


def every(aws: Aws) -> Iterator[Stack]:
    """Every stack of the account and region that is not deleted. Raises AwsError."""
    for description in aws.pages("cloudformation", "describe_stacks", "Stacks"):
        stack = _stack(description)
        if not stack.state.deleted:
            yield stack


def deployed(aws: Aws, name: str, stack: Stack | None) -> Stack:
    """The stack, where a deploy of it has succeeded. Raises NotFoundError otherwise."""
    if stack is None or stack.state.never_worked:
        raise NotFoundError(f"{name} is not deployed in {aws.region}.", hint="Run `rtp deploy`.", code="not-deployed")
    return stack


def template_of(aws: Aws, stack: Stack | None) -> dict[str, Any]:
    """The template of a stack that was described; empty where it has none yet."""
    return {} if stack is None or stack.state.in_review else template(aws, stack.id)


def template(aws: Aws, stack: str) -> dict[str, Any]:
    """The template that was deployed last. Raises RefusedError for one that is not JSON, which rtp did not write."""
    body = aws.call("cloudformation", "get_template", StackName=stack, TemplateStage="Original")["TemplateBody"]
    try:
        parsed = json.loads(body or "{}") if isinstance(body, str) else dict(body)
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise RefusedError(
            f"The template of the stack {stack} is not JSON, so rtp did not deploy it.",
            hint="Choose another project or environment name in rtp.toml.",
            code="foreign-stack",
        )
    return parsed


def resources(aws: Aws, stack: str) -> list[Resource]:
    """The stack's resources, without those that it has deleted."""
    summaries = aws.pages("cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
    every = [
        Resource(
            r["LogicalResourceId"],
            r.get("PhysicalResourceId", ""),
            r["ResourceType"],
            ResourceStatus(r["ResourceStatus"]),
        )
        for r in summaries
    ]
    return [resource for resource in every if not resource.status.deleted]


def retained(aws: Aws, name: str) -> frozenset[str]:
    """Physical ids of what deleted stacks of this name have kept, as far as CloudFormation still lists those stacks.

    It lists deleted stacks for 90 days, newest first; of these, the newest 2,000 of the region are searched.
    """
    listed = aws.pages("cloudformation", "list_stacks", "StackSummaries", StackStatusFilter=["DELETE_COMPLETE"])
    ids = [s["StackId"] for s in islice(listed, _DELETED_STACKS) if s["StackName"] == name]
    return frozenset(
        e["PhysicalResourceId"]
        for stack_id in ids[:_FORMER_STACKS]
        for e in aws.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=stack_id)
        if e.get("ResourceStatus") == "DELETE_SKIPPED" and e.get("PhysicalResourceId")
    )


def last_event(aws: Aws, stack: str) -> str | None:
    """Id of the newest event; None for an unknown stack, and for one without events."""
    try:
        newest = next(aws.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=stack), None)
    except AwsError as error:
        if is_missing(error):
            return None
        raise
    return newest["EventId"] if newest is not None else None


def events_since(aws: Aws, stack: str, known_ids: set[str]) -> list[Event]:
    """Events whose ids are not in `known_ids`, oldest first, and add their ids to it. Empty for an unknown stack.

    After an error, none of their ids is added, so that the next call returns them all.
    """
    new: dict[str, Event] = {}
    try:
        for e in aws.pages("cloudformation", "describe_stack_events", "StackEvents", StackName=stack):
            if e["EventId"] in known_ids:
                break
            new[e["EventId"]] = _event(e)
    except AwsError as error:
        if not is_missing(error):
            raise
    known_ids.update(new)
    return list(new.values())[::-1]


def refusals(aws: Aws, stack: str) -> list[Event]:
    """Errors that CloudFormation found before it started the last operation, such as a name that is in use."""
    errors = [
        e
        for e in aws.pages("cloudformation", "describe_events", "OperationEvents", StackName=stack)
        if e.get("EventType") == "VALIDATION_ERROR" and e.get("ValidationStatus") == "FAILED"
    ]
    return [
        Event(
            stack_id=e.get("StackId", ""),
            time=e["Timestamp"],
            logical_id=e.get("LogicalResourceId", ""),
            physical_id=e.get("PhysicalResourceId", ""),
            resource_type=e.get("ResourceType", ""),
            status=ResourceStatus(e.get("ValidationName", "VALIDATION_FAILED")),
            reason=e.get("ValidationStatusReason", ""),
        )
        for e in errors
        if e.get("OperationId") == errors[0].get("OperationId")
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
        ClientRequestToken=new_token(),
        TemplateBody=body,
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )


def new_token() -> str:
    """A ClientRequestToken: it makes a repeated call harmless, and is in every event of the operation."""
    return f"rtp-{uuid.uuid4()}"


def delete(aws: Aws, stack: str, *, token: str = "") -> None:
    """Start the deletion. token: see new_token."""
    aws.call("cloudformation", "delete_stack", StackName=stack, ClientRequestToken=token or new_token())


def delete_empty(aws: Aws, stack: str) -> None:
    """Delete a stack that was made for a change set alone; another one stays.

    Its description may be an old one, from before a change set was executed, so its resources are asked for too.
    """
    described = describe(aws, stack)
    if described is not None and described.state.in_review and not resources(aws, described.id):
        delete(aws, described.id)


def protect(aws: Aws, stack: str, *, on: bool) -> None:
    """Switch termination protection."""
    aws.call("cloudformation", "update_termination_protection", StackName=stack, EnableTerminationProtection=on)


def continue_rollback(aws: Aws, stack: str, *, token: str, skip: tuple[str, ...] = ()) -> None:
    """Start to continue a failed rollback of an update, without the resources to skip. token: see new_token."""
    extra = {"ResourcesToSkip": list(skip)} if skip else {}
    aws.call("cloudformation", "continue_update_rollback", StackName=stack, ClientRequestToken=token, **extra)


def roll_back(aws: Aws, stack: str, *, token: str) -> None:
    """Start the rollback of an operation that failed and was left as it was. token: see new_token."""
    aws.call("cloudformation", "rollback_stack", StackName=stack, ClientRequestToken=token)


def is_missing(error: AwsError) -> bool:
    """Whether a call failed because there is no stack of that name."""
    return error.service_code == "ValidationError" and "does not exist" in error.message


def _stack(d: dict[str, Any]) -> Stack:
    return Stack(
        id=str(d.get("StackId", "")),
        name=str(d["StackName"]),
        state=StackState.of(d["StackStatus"]),
        reason=str(d.get("StackStatusReason") or ""),
        tags={t["Key"]: t["Value"] for t in d.get("Tags", ())},
        outputs={o["OutputKey"]: o["OutputValue"] for o in d.get("Outputs", ())},
        created=d.get("CreationTime"),
        updated=d.get("LastUpdatedTime") or d.get("CreationTime"),
        protected=bool(d.get("EnableTerminationProtection")),
        has_triggers=bool(d.get("RollbackConfiguration", {}).get("RollbackTriggers")),
    )


def _event(e: dict[str, Any]) -> Event:
    return Event(
        stack_id=e.get("StackId", ""),
        time=e["Timestamp"],
        logical_id=e["LogicalResourceId"],
        physical_id=e.get("PhysicalResourceId", ""),
        resource_type=e.get("ResourceType", ""),
        status=ResourceStatus(e.get("ResourceStatus", "")),
        reason=e.get("ResourceStatusReason", ""),
        token=e.get("ClientRequestToken", ""),
    )
