"""Adopting data that an earlier stack left: an import of table, bucket and key, before the ordinary update."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rtp.aws import buckets, changesets, inventory, keys, resource_types, stacks
from rtp.contract import partition
from rtp.errors import RefusedError, RtpError
from rtp.ops.access import ownership
from rtp.ops.access.question import Question
from rtp.ops.stack.apply import execute, publish
from rtp.ops.stack.steps import Note, Phase
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.aws.changesets import ChangeSet
    from rtp.ops.stack.build.synth import Assembly
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.steps import Step

CHANGE_SET = "rtp-adopt"
# Type -> the property that is both its name in the template and its identifier in an import.
_NAMES = {
    resource_types.BUCKET: "BucketName",
    resource_types.TABLE: "TableName",
    resource_types.KEY_ALIAS: "AliasName",
    resource_types.LOG_GROUP: "LogGroupName",
}


@dataclass(frozen=True, slots=True)
class Leftover:
    """A resource that exists and that the template would create. identifier: as an import takes it."""

    logical_id: str
    resource_type: str
    identifier: Mapping[str, str]

    @property
    def text(self) -> str:
        """Type and name, for people."""
        return f"{resource_types.of(self.resource_type).name} {next(iter(self.identifier.values()))}"


def adopt(target: Target, built: Assembly, operation: Operation, *, dry_run: bool) -> Iterator[Step]:
    """Import what an earlier stack left into a new stack of this name, with consent. Raises RtpError.

    The import changes no resource. The stack has no tags and outputs until the deploy has updated it.
    """
    found = leftovers(target, built.template)
    if not found:
        yield Note("There is nothing to adopt.")
        return
    _refuse_others(target, found)
    names = ", ".join(leftover.text for leftover in found)
    if dry_run:
        yield Note(f"A deploy with --adopt imports {names}.")
        return
    about = (f"These become part of {target.name}: {names}.", "Their data stay as they are.")
    operation.consent(Question(f"Adopt {many(len(found), 'resource')}?", about))
    yield Phase("adopting")
    template = import_template(built.template, found)
    change_set = prepared(target, template, found)
    imported = replace(target, stack_id=change_set.stack_id)
    ids = frozenset(leftover.logical_id for leftover in found)
    outcome = yield from execute.apply(imported, change_set, operation, template=template, expected=ids)
    if not outcome.good:
        raise execute.failure(target.name, "given the resources", outcome)
    yield Note(f"Adopted: {names}.")


def leftovers(target: Target, template: Mapping[str, Any]) -> list[Leftover]:
    """The resources of the template that exist already, of the types that can be imported. Raises AwsError."""
    resources: Mapping[str, Any] = template["Resources"]
    found = []
    for logical_id, resource in resources.items():
        name = _NAMES.get(resource["Type"])
        value = resource.get("Properties", {}).get(name) if name else None
        if name and isinstance(value, str) and _exists(target, resource["Type"], value):
            found.append(Leftover(logical_id, resource["Type"], {name: value}))
    return [*found, *_policies(target, resources, found), *_keys(target, resources, found)]


def import_template(template: Mapping[str, Any], found: list[Leftover]) -> dict[str, Any]:
    """The template of the import: these resources, without properties that refer to others.

    Each has a deletion policy that keeps it, as CloudFormation wants of an import into a new stack.
    """
    ids = {leftover.logical_id for leftover in found}
    resources = {}
    for logical_id in sorted(ids):
        resource = template["Resources"][logical_id]
        kept = {k: v for k, v in resource.get("Properties", {}).items() if _refers_to(v) <= ids}
        resources[logical_id] = {
            "Type": resource["Type"],
            "Properties": kept,
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
        }
    return {"Resources": resources}


def _exists(target: Target, resource_type: str, physical_id: str) -> bool:
    existence = inventory.lookup(target.aws, resource_type, physical_id)
    return existence is not None and existence.exists


def _keys(target: Target, resources: Mapping[str, Any], found: list[Leftover]) -> list[Leftover]:
    """The key behind an alias that exists; a resource without it would refer to a new key."""
    left = []
    for alias in [each for each in found if each.resource_type == resource_types.KEY_ALIAS]:
        key = keys.behind(target.aws, alias.identifier["AliasName"])
        if key is not None:
            reference = _refers_to(resources[alias.logical_id]["Properties"]["TargetKeyId"])
            left += [Leftover(logical_id, resource_types.KEY, {"KeyId": key}) for logical_id in sorted(reference)]
    return left


def _policies(target: Target, resources: Mapping[str, Any], found: list[Leftover]) -> list[Leftover]:
    """The policies of buckets that exist: S3 does not let a stack create a second one."""
    by_id = {each.logical_id: each.identifier["BucketName"] for each in found if "BucketName" in each.identifier}
    left = []
    for logical_id, resource in resources.items():
        if resource["Type"] == resource_types.BUCKET_POLICY:
            bucket = next((by_id[each] for each in _refers_to(resource["Properties"]["Bucket"]) & by_id.keys()), "")
            if bucket and buckets.has_policy(target.aws, bucket):
                left.append(Leftover(logical_id, resource_types.BUCKET_POLICY, {"Bucket": bucket}))
    return left


def _refers_to(value: Any) -> set[str]:
    """The logical ids, and pseudo parameters, that a value of a template refers to."""
    if isinstance(value, list):
        return set().union(*map(_refers_to, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    if "Ref" in value:
        return {str(value["Ref"])} if not str(value["Ref"]).startswith("AWS::") else set()
    if "Fn::GetAtt" in value:
        attribute = value["Fn::GetAtt"]
        return {str(attribute[0] if isinstance(attribute, list) else attribute.partition(".")[0])}
    return set().union(*map(_refers_to, value.values())) if value else set()


def _refuse_others(target: Target, found: list[Leftover]) -> None:
    """Raises RefusedError where a leftover has another project's tags, or where its tags may not be read."""
    named = {each.text: arn for each in found if (arn := _arn(target, each))}
    others = ownership.of_others(target.aws, target.environment, named)
    foreign = [name for name, is_foreign in others.items() if is_foreign is not False]
    if foreign:
        raise RefusedError(
            f"Not known to be this project's: {', '.join(sorted(foreign))}; nothing was changed.",
            hint="Their tags Project and Environment name the owner. Choose another project or environment name.",
            code="foreign-resource",
        )


def _arn(target: Target, leftover: Leftover) -> str:
    """The ARN of a table, bucket or key, which carry the owner's tags; empty for other types."""
    region, name = target.aws.region, next(iter(leftover.identifier.values()))
    if leftover.resource_type == resource_types.BUCKET:
        return f"arn:{partition(region)}:s3:::{name}"
    if leftover.resource_type == resource_types.TABLE:
        return f"arn:{partition(region)}:dynamodb:{region}:{target.aws.account}:table/{name}"
    if leftover.resource_type == resource_types.KEY:  # with the stack it may be deleted, and all that it has encrypted
        return f"arn:{partition(region)}:kms:{region}:{target.aws.account}:key/{name}"
    return ""


def prepared(target: Target, template: Mapping[str, Any], found: list[Leftover]) -> ChangeSet:
    """The prepared import. Raises RtpError where CloudFormation does not take it, WaitTimeoutError."""
    aws, stack = target.aws, target.name
    imports = [
        {
            "ResourceType": each.resource_type,
            "LogicalResourceId": each.logical_id,
            "ResourceIdentifier": dict(each.identifier),
        }
        for each in found
    ]
    if target.stack_id:
        publish.remove(aws, stack, CHANGE_SET)
    changesets.create_import(aws, stack, CHANGE_SET, json.dumps(template, separators=(",", ":")), imports)
    change_set = publish.settled(aws, stack, CHANGE_SET)
    if change_set is None or change_set.failed:
        reason = change_set.reason if change_set else "the change set is gone"
        stacks.delete_empty(aws, change_set.stack_id if change_set else stack)
        raise RtpError(f"CloudFormation cannot import into {stack}: {reason}", code="change-set")
    return change_set
