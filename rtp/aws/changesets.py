"""CloudFormation change sets, and updates without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import buckets, stacks
from rtp.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rtp.aws import Aws

INLINE_BYTES = 51_200  # the largest template that CloudFormation accepts in a request
_NO_SUCH_CHANGE_SET = ("ChangeSetNotFound", "ChangeSetNotFoundException")
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True, slots=True)
class Change:
    """What the change set does to one resource. replacement: True, False, Conditional, or empty.

    drift: of a drift-aware change set, how the resource differs from its template: DELETED, MODIFIED, IN_SYNC and more.
    """

    logical_id: str
    resource_type: str
    replacement: str = ""
    drift: str = ""

    @property
    def recreates(self) -> bool:
        """Whether it creates again what was deleted outside CloudFormation."""
        return self.drift == "DELETED"

    @property
    def reverts(self) -> bool:
        """Whether it sets back what was changed outside CloudFormation."""
        return self.drift == "MODIFIED"


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A prepared change set."""

    id: str
    stack_id: str
    status: str
    reason: str
    changes: tuple[Change, ...]

    @property
    def pending(self) -> bool:
        """Whether CloudFormation is still working it out."""
        return self.status in ("CREATE_PENDING", "CREATE_IN_PROGRESS")

    @property
    def failed(self) -> bool:
        """Whether it cannot be executed: there is nothing to change, or the template is wrong."""
        return self.status == "FAILED"

    @property
    def empty(self) -> bool:
        """Whether CloudFormation found nothing to change."""
        return self.failed and any(text in self.reason for text in _NO_CHANGES)


def describe(aws: Aws, stack: str, name: str) -> ChangeSet | None:
    """The change set with all its changes; None where there is none of this name, and no such stack."""
    changes: list[Change] = []
    token: dict[str, str] = {}
    while True:
        try:
            page = aws.call("cloudformation", "describe_change_set", StackName=stack, ChangeSetName=name, **token)
        except AwsError as error:
            if error.service_code in _NO_SUCH_CHANGE_SET or stacks.is_missing(error):
                return None
            raise
        changes += [_change(c["ResourceChange"]) for c in page.get("Changes", ()) if "ResourceChange" in c]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    return ChangeSet(page["ChangeSetId"], page["StackId"], page["Status"], page.get("StatusReason", ""), tuple(changes))


def tags(aws: Aws, stack: str) -> Iterator[dict[str, str]]:
    """Yield the tags that each of a stack's change sets would give it."""
    for summary in aws.pages("cloudformation", "list_change_sets", "Summaries", StackName=stack):
        try:
            answer = aws.call(
                "cloudformation", "describe_change_set", StackName=stack, ChangeSetName=summary["ChangeSetId"]
            )
        except AwsError as error:
            if error.service_code in _NO_SUCH_CHANGE_SET or stacks.is_missing(error):  # deleted since it was listed
                continue
            raise
        yield {t["Key"]: t["Value"] for t in answer.get("Tags", ())}


def create(  # noqa: PLR0913 - what CloudFormation takes
    aws: Aws,
    stack: str,
    name: str,
    body: str,
    *,
    tags: Mapping[str, str] | None,
    capabilities: Sequence[str],
    new: bool = False,
    clear_triggers: bool = False,
) -> None:
    """Start to prepare an update of a stack to a template, or a new stack.

    An update keeps role and parameters, and the tags where they are None.
    clear_triggers: remove the alarms of the last update, which the stack would keep and watch.
    """
    extra: dict[str, Any] = {} if tags is None else {"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
    if clear_triggers:
        extra["RollbackConfiguration"] = {"RollbackTriggers": [], "MonitoringTimeInMinutes": 0}
    aws.call(
        "cloudformation",
        "create_change_set",
        StackName=stack,
        ChangeSetName=name,
        ChangeSetType="CREATE" if new else "UPDATE",
        ClientToken=stacks.new_token(),  # botocore may repeat a call whose answer was lost
        Capabilities=list(capabilities),
        **_template(aws, body),
        **extra,
    )


def create_import(aws: Aws, stack: str, name: str, body: str, resources: Sequence[Mapping[str, Any]]) -> None:
    """Start to prepare a new stack of existing resources. resources: as ResourcesToImport has them.

    CloudFormation takes no tags and no outputs here.
    """
    aws.call(
        "cloudformation",
        "create_change_set",
        StackName=stack,
        ChangeSetName=name,
        ChangeSetType="IMPORT",
        ResourcesToImport=list(resources),
        ClientToken=stacks.new_token(),
        **_template(aws, body),
    )


def update_now(aws: Aws, stack: str, body: str, *, token: str = "") -> None:
    """Start an update of a stack to a template, without a change set. Keeps role, parameters and tags."""
    aws.call(
        "cloudformation",
        "update_stack",
        StackName=stack,
        ClientRequestToken=token or stacks.new_token(),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        **_template(aws, body),
    )


def execute(aws: Aws, change_set: ChangeSet, *, token: str, rollback: bool = True) -> None:
    """Start to apply it. token: makes a repeated call harmless. rollback: False leaves a failed stack as it is."""
    extra = {} if rollback else {"DisableRollback": True}
    aws.call(
        "cloudformation",
        "execute_change_set",
        StackName=change_set.stack_id,
        ChangeSetName=change_set.id,
        ClientRequestToken=token,
        **extra,
    )


def delete(aws: Aws, change_set: ChangeSet) -> None:
    """Delete it."""
    aws.call("cloudformation", "delete_change_set", StackName=change_set.stack_id, ChangeSetName=change_set.id)


def _template(aws: Aws, body: str) -> dict[str, str]:
    """The template as a parameter: inline, or uploaded to the CDK's bucket where it is too large for a request."""
    data = body.encode()
    if len(data) <= INLINE_BYTES:
        return {"TemplateBody": body}
    return {"TemplateURL": buckets.publish(aws, data, ".json")}


def _change(c: dict[str, Any]) -> Change:
    return Change(
        logical_id=c.get("LogicalResourceId", ""),
        resource_type=c.get("ResourceType", ""),
        replacement=c.get("Replacement", ""),
        drift=c.get("ResourceDriftStatus", ""),
    )
