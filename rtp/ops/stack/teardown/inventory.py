"""What a stack holds, and the plan of a destroy: what is deleted and what is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rtp.aws import buckets, inventory, own_bucket, queues, release_objects, resource_types
from rtp.aws.resource_types import BUCKET, KEY, QUEUE, TABLE
from rtp.errors import AwsError
from rtp.ops.stack.build.bootstrap import STACK as BOOTSTRAP
from rtp.ops.work import pool
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource
    from rtp.config import Environment
    from rtp.ops.stack.operation import Target

_THREADS = 16
RETAINS = ("Retain", "RetainExceptOnCreate")
"""Deletion policies with which a resource survives its stack."""
_MANY = 10_000  # objects are counted up to here


@dataclass(frozen=True, slots=True)
class Item:
    """One thing.

    kind: such as `bucket` or `queue`. note: what it holds, or why it stays.
    """

    kind: str
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a destroy will delete and what stays.

    resources: how many resources the stack has. goes: what is deleted, of all that holds data or costs money.
    stays: what of it stays. lost: messages that nobody will process any more.
    unknown: what is deleted of types that rtp does not know: it may hold data.
    drained: the queue that is drained first; null without --drain.
    blocks: whether what stays has names that the next deploy of this environment needs.
    """

    stack: str
    resources: int
    goes: tuple[Item, ...]
    stays: tuple[Item, ...]
    lost: tuple[Item, ...]
    unknown: tuple[Item, ...] = ()
    blocks: bool = False
    drained: Item | None = None


def plan(
    target: Target,
    resources: Sequence[Resource],
    template: Mapping[str, Any],
    keep: frozenset[str],
    *,
    drain: bool = False,
) -> Plan:
    """Count what the resources hold. keep: logical ids that are kept. drain: the queue is drained first."""
    goes, stays, lost = [], [], []
    drained: Item | None = None
    processed = target.environment.names.queue if drain else None
    for resource, item in holding(target.aws, resources):
        if resource.logical_id in keep:
            why = "kept, as asked" if not _retained(template, resource.logical_id) else "retained by its template"
            stays.append(replace(item, note=why))
        elif _policy(template, resource.logical_id) == "Snapshot":
            goes.append(replace(item, note="a snapshot of it stays"))
        elif resource.resource_type == KEY:
            properties = template.get("Resources", {}).get(resource.logical_id, {}).get("Properties", {})
            days = properties.get("PendingWindowInDays", 30)
            stays.append(replace(item, note=f"deleted {days} days later; until then it can be saved"))
        else:
            goes.append(item)
            if resource.resource_type == QUEUE and item.name == processed:
                drained = item
            elif resource.resource_type == QUEUE and item.note:
                lost.append(item)
    blocks = any(r.resource_type == TABLE and r.logical_id in keep for r in resources)
    stays += bootstrap(target.aws, target.environment)
    return Plan(
        target.name,
        len(resources),
        tuple(goes),
        tuple(stays),
        tuple(lost),
        tuple(_unknown(resources, keep)),
        blocks,
        drained,
    )


def _unknown(resources: Sequence[Resource], keep: frozenset[str]) -> list[Item]:
    """Resources of types that rtp does not know, which an extension has added."""
    return [
        Item(resource.resource_type, resource.physical_id or resource.logical_id)
        for resource in resources
        if not resource_types.is_known(resource.resource_type) and resource.logical_id not in keep
    ]


def holding(aws: Aws, resources: Sequence[Resource]) -> list[tuple[Resource, Item]]:
    """Every resource that can hold data, with its contents as the note."""
    found = [r for r in resources if resource_types.of(r.resource_type).holds_data]
    connect(aws)
    notes = pool.map(lambda r: _holds(aws, r), found, threads=_THREADS)
    items = []
    for resource, note in zip(found, notes, strict=True):
        is_url = resource.resource_type == QUEUE
        name = resource.physical_id.rpartition("/")[2] if is_url else resource.physical_id
        items.append((resource, Item(resource_types.of(resource.resource_type).name, name, note)))
    return items


def kept(template: Mapping[str, Any], *, keep_data: bool) -> frozenset[str]:
    """Logical ids that survive the deletion of the stack; with keep_data, those that must not be deleted."""
    found = template.get("Resources", {})
    data = {k for k, r in found.items() if resource_types.of(r["Type"]).kept_with_data} if keep_data else set()
    return frozenset(data | {k for k in found if _retained(template, k)})


def _retained(template: Mapping[str, Any], logical_id: str) -> bool:
    return _policy(template, logical_id) in RETAINS


def _policy(template: Mapping[str, Any], logical_id: str) -> str:
    return str(template.get("Resources", {}).get(logical_id, {}).get("DeletionPolicy", ""))


def _holds(aws: Aws, resource: Resource) -> str:
    """The contents in words; empty where there are none."""
    try:
        if resource.resource_type == TABLE:
            count = inventory.item_count(aws, resource.physical_id)
            return f"about {many(count, 'record')}" if count else ""
        if resource.resource_type == BUCKET:
            objects = buckets.count(aws, resource.physical_id, limit=_MANY) or 0
            return _or_more(objects, "object version", limit=_MANY) if objects else ""
        if resource.resource_type == QUEUE:
            depth = queues.depth(aws, resource.physical_id)
            in_flight = f", {depth.in_flight:,} of them being processed" if depth.in_flight else ""
            return f"{many(depth.total, 'message')}{in_flight}" if depth.total else ""
    except AwsError:  # it is gone, or may not be read; the deletion reports that
        return ""
    return ""


def _or_more(count: int, what: str, *, limit: int) -> str:
    """A count that ends at a limit, with its noun."""
    return f"{count:,} or more {what}s" if count >= limit else many(count, what)


def bootstrap(aws: Aws, environment: Environment) -> list[Item]:
    """What all stacks of the account and region share: rtp's own bucket, and the CDK's of published assets."""
    items = []
    own, of_cdk = own_bucket.name(aws), buckets.of_cdk(aws)
    try:
        if buckets.count(aws, own, limit=1, owner=aws.account) is not None:
            releases = release_objects.count(aws, environment.project, environment.name)
            kept = f"templates and assets of {many(releases, 'release')} of this environment; " if releases else ""
            note = "history of commands, also of this environment (`rtp history`), for 400 days; "
            note += "journals of redrives, purges and replays, and records of drills, for 30 days; "
            note += f"{kept}leases of deploys"
            items.append(Item("bucket", own, note))
    except AwsError:  # it may not be read, or it is another account's
        pass
    try:
        objects = buckets.count(aws, of_cdk, limit=1000)
    except AwsError:
        return items
    if objects is not None:
        count = _or_more(objects, "object", limit=1000)
        note = f"{count} of {BOOTSTRAP}, which all stacks of this account and region share"
        items.append(Item("bucket", of_cdk, note))
    return items


def connect(aws: Aws) -> None:
    """Make the clients before threads use them."""
    aws.connect("s3", "dynamodb", "sqs", "logs", "lambda", "apigateway", "cloudwatch", "iam", "kms", "sns")
