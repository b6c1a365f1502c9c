"""What a destroy takes and what it leaves: the plan before, the proof after."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rtp.aws import buckets, inventory, queues
from rtp.contract import EMPTIER_TYPE, MANAGED_BY, Tag, partition
from rtp.errors import AwsError
from rtp.ops.access import ownership
from rtp.ops.stack.build.bootstrap import STACK as BOOTSTRAP
from rtp.ops.stack.compare.changes import KEEPS
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource
    from rtp.config import Environment

TABLE, BUCKET, QUEUE = "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"
KEY, LOG_GROUP = "AWS::KMS::Key", "AWS::Logs::LogGroup"
_KINDS = {TABLE: "table", BUCKET: "bucket", QUEUE: "queue", KEY: "key", LOG_GROUP: "log group"}
_SERVICES = {"dynamodb": TABLE, "s3": BUCKET, "kms": KEY}  # of the data that --keep-data keeps
_THREADS = 16
_MANY = 10_000  # objects are counted up to here


@dataclass(frozen=True, slots=True)
class Item:
    """One thing. note: what it holds, or why it stays."""

    kind: str
    name: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a destroy will take and what stays. `type` plan. lost: messages that nobody will process any more.

    drained: the queue that is drained first, if one is.
    blocks: what stays has names that the next deploy of this environment would need.
    """

    stack: str
    resources: int
    goes: tuple[Item, ...]
    stays: tuple[Item, ...]
    lost: tuple[Item, ...]
    blocks: bool = False
    drained: Item | None = None


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is still there. expected: the plan said so; why: the reason, or the next step."""

    kind: str
    name: str
    expected: bool
    why: str


@dataclass(frozen=True, slots=True)
class Proof:
    """`type` proof. gone: resources that their services no longer know."""

    stack: str
    gone: int
    left: tuple[Left, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is left that should be gone."""
        return all(item.expected for item in self.left)


def plan(
    aws: Aws,
    environment: Environment,
    resources: Sequence[Resource],
    template: Mapping[str, Any],
    keep: frozenset[str],
    *,
    drain: bool = False,
) -> Plan:
    """Look at everything that holds something. keep: logical ids that stay. drain: the queue is worked off first."""
    goes, stays, lost = [], [], []
    drained: Item | None = None
    worked_off = environment.names.queue if drain else None
    for resource, item in holding(aws, resources):
        if resource.logical_id in keep:
            why = "kept, as asked" if not _retained(template, resource.logical_id) else "retained by its template"
            stays.append(replace(item, note=why))
        elif item.kind == "key":
            properties = template.get("Resources", {}).get(resource.logical_id, {}).get("Properties", {})
            days = properties.get("PendingWindowInDays", 30)
            stays.append(replace(item, note=f"deleted {days} days later; until then it can be saved"))
        else:
            goes.append(item)
            if item.kind == "queue" and item.name == worked_off:
                drained = item
            elif item.kind == "queue" and item.note:
                lost.append(item)
    blocks = any(item.kind == "table" for item in stays)
    stays += _bootstrap(aws)
    return Plan(environment.names.stack, len(resources), tuple(goes), tuple(stays), tuple(lost), blocks, drained)


def holding(aws: Aws, resources: Sequence[Resource]) -> list[tuple[Resource, Item]]:
    """Everything that can hold something, with what it does hold as the note."""
    found = [r for r in resources if r.resource_type in _KINDS]
    _connect(aws)
    with ThreadPoolExecutor(_THREADS) as pool:
        notes = list(pool.map(lambda r: _holds(aws, r), found))
    items = []
    for resource, note in zip(found, notes, strict=True):
        kind = _KINDS[resource.resource_type]
        name = resource.physical_id.rpartition("/")[2] if kind == "queue" else resource.physical_id
        items.append((resource, Item(kind, name, note)))
    return items


def kept(template: Mapping[str, Any], *, keep_data: bool) -> frozenset[str]:
    """Logical ids that survive the deletion of the stack; with keep_data, those that must not be deleted."""
    found = template.get("Resources", {})
    data = {k for k, r in found.items() if is_data(r["Type"])} if keep_data else set()
    return frozenset(data | {k for k in found if _retained(template, k)})


def prove(
    aws: Aws,
    environment: Environment,
    resources: Sequence[Resource],
    keep: frozenset[str],
    *,
    keep_data: bool,
    api_id: str,
) -> Proof:
    """Ask every resource's own service, and search by name and tag. Log groups that came back are deleted."""
    _connect(aws)
    with ThreadPoolExecutor(_THREADS) as pool:
        states = list(pool.map(lambda r: inventory.state(aws, r.resource_type, r.physical_id), resources))
    left, gone = [], 0
    back: list[str] = []  # log groups that a function's last lines have made anew
    for resource, state in zip(resources, states, strict=True):
        if state is None or not state.exists:
            gone += 1
            continue
        kind = _KINDS.get(resource.resource_type, resource.resource_type)
        if state.ends:
            left.append(Left(kind, resource.physical_id, True, f"will be deleted on {state.ends}"))
        elif resource.logical_id in keep:
            left.append(Left(kind, resource.physical_id, True, "kept"))
        # One that could not be created because it was there already is not the stack's.
        elif resource.status == "CREATE_FAILED" and (is_data(resource.resource_type) or kind == "log group"):
            left.append(Left(kind, resource.physical_id, True, _kept_by(environment)))
        elif kind == "log group":
            back.append(resource.physical_id)
        else:
            left.append(Left(kind, resource.physical_id, False, "should be gone"))
    for name, others in ownership.of_others(aws, environment, {n: _log_group_arn(aws, n) for n in back}).items():
        if others is None:
            left.append(Left("log group", name, True, "made anew; not deleted, since its tags could not be read"))
            continue
        if not others:
            inventory.delete_log_group(aws, name)
        gone += 1
    known = {r.physical_id for r in resources}
    lenient = keep_data or environment.protected  # then an earlier life may have left something on purpose
    strays = {n: _log_group_arn(aws, n) for n in _strays(aws, environment, api_id) if n not in known}
    left += [
        Left("log group", name, lenient, "not of the stack")
        for name, others in ownership.of_others(aws, environment, strays).items()
        if not others
    ]
    arns = _tagged(aws, environment, known)
    own = (environment.names.table, environment.names.bucket(aws.account, aws.region))
    earlier = _kept_by(environment) if any(_last(arn) in own for arn in arns) else ""
    left += [_by_tag(aws, arn, lenient, earlier) for arn in arns]
    left += [Left(i.kind, i.name, True, i.note) for i in _bootstrap(aws)]
    return Proof(environment.names.stack, gone, tuple(left))


def orphans(aws: Aws, environment: Environment) -> tuple[Item, ...]:
    """What an environment without a stack has left: by its own names, and its data by their tags.

    What carries the stack's tags was the stack's, and outlived it on purpose: its note says so.
    What has one of the names and another project's tags is that project's, and is left out.
    """
    names = environment.names
    named = [
        Item("table", names.table),
        Item("bucket", names.bucket(aws.account, aws.region)),
        *(Item("log group", names.log_group(f)) for f in (names.processor, names.worker)),
    ]
    types = {"table": TABLE, "bucket": BUCKET, "log group": LOG_GROUP}
    states = [inventory.state(aws, types[item.kind], item.name) for item in named]
    there = {i.name: i for i, state in zip(named, states, strict=True) if state is not None and state.exists}
    arns = {i.name: _arn(aws, i) for i in there.values()}
    found = {n: there[n] for n, others in ownership.of_others(aws, environment, arns).items() if not others}
    for arn in _tagged(aws, environment, set()):
        kind, name = _SERVICES.get(arn.split(":")[2]), _last(arn)
        if kind is None:
            continue
        state = inventory.state(aws, kind, name)
        if state is not None and state.exists and not state.ends:
            found[name] = Item(_KINDS[kind], name, _kept_by(environment))
    return tuple(found.values())


def _kept_by(environment: Environment) -> str:
    return f"kept by an earlier `rtp destroy{'' if environment.protected else ' --keep-data'}`"


def _last(arn: str) -> str:
    """The name at an ARN's end."""
    return arn.rpartition(":")[2].rpartition("/")[2]


def is_data(kind: str) -> bool:
    """What --keep-data keeps: the data, the key it is under, what guards it, and what would empty it."""
    return kind in (TABLE, BUCKET, KEY, "AWS::S3::BucketPolicy", "AWS::KMS::Alias", EMPTIER_TYPE)


def _retained(template: Mapping[str, Any], logical_id: str) -> bool:
    return template.get("Resources", {}).get(logical_id, {}).get("DeletionPolicy") in KEEPS


def _holds(aws: Aws, resource: Resource) -> str:
    """What is in it, in words; empty for nothing."""
    try:
        if resource.resource_type == TABLE:
            count = inventory.item_count(aws, resource.physical_id)
            return f"about {many(count, 'record')}" if count else ""
        if resource.resource_type == BUCKET:
            objects = buckets.count(aws, resource.physical_id, limit=_MANY) or 0
            return f"{objects:,}{' or more' if objects >= _MANY else ''} object versions" if objects else ""
        if resource.resource_type == QUEUE:
            depth = queues.depth(aws, resource.physical_id)
            at_work = f", {depth.in_flight:,} of them being processed" if depth.in_flight else ""
            return f"{many(depth.total, 'message')}{at_work}" if depth.total else ""
    except AwsError:  # it is gone already, or may not be looked into; the deletion will tell
        return ""
    return ""


def _bootstrap(aws: Aws) -> list[Item]:
    """The CDK's own bucket, which all stacks of the account and region share, and what was published for this one."""
    bucket = buckets.of_cdk(aws)
    try:
        objects = buckets.count(aws, bucket, limit=1000)
    except AwsError:
        return []
    if objects is None:
        return []
    few = f"{objects:,}{' or more' if objects >= 1000 else ''} objects"
    return [Item("bucket", bucket, f"{few} of {BOOTSTRAP}, which all stacks of this account and region share")]


def _strays(aws: Aws, environment: Environment, api_id: str) -> list[str]:
    names = environment.names
    whole = [*(names.log_group(f) for f in (names.processor, names.worker)), names.access_log_group]
    # Another project's group may begin with the whole name of one of ours: shop-dev-worker, and shop-dev-worker-eu-api.
    found = [name for name in whole if name in inventory.log_groups(aws, name)]
    prefixes = [names.log_group(f"{names.stack}-Custom")]  # no project's name has capitals
    if api_id:
        prefixes.append(f"API-Gateway-Execution-Logs_{api_id}/")
    return found + [name for prefix in prefixes for name in inventory.log_groups(aws, prefix)]


def _tagged(aws: Aws, environment: Environment, known: set[str]) -> list[str]:
    """ARNs by tag that are none of the resources which were looked at one by one."""
    tags = {
        Tag.PROJECT.value: environment.project,
        Tag.ENVIRONMENT.value: environment.name,
        Tag.MANAGED_BY.value: MANAGED_BY,
    }
    try:
        found = list(inventory.tagged(aws, tags))
    except AwsError as error:
        if error.code == "access-denied":
            return []
        raise
    ends = {k.rpartition("/")[2].rpartition(":")[2] for k in known}
    return [arn for arn in found if not any(part in ends for part in arn.replace("/", ":").split(":")[5:])]


def _arn(aws: Aws, item: Item) -> str:
    if item.kind == "log group":
        return _log_group_arn(aws, item.name)
    start = f"arn:{partition(aws.region)}"
    if item.kind == "bucket":
        return f"{start}:s3:::{item.name}"
    return f"{start}:dynamodb:{aws.region}:{aws.account}:table/{item.name}"


def _log_group_arn(aws: Aws, name: str) -> str:
    return f"arn:{partition(aws.region)}:logs:{aws.region}:{aws.account}:log-group:{name}"


def _by_tag(aws: Aws, arn: str, lenient: bool, earlier: str) -> Left:
    """earlier: why the data of an earlier life are still there; empty where none are."""
    if ":kms:" in arn:
        state = inventory.state(aws, KEY, arn)
        if state is not None and state.ends:
            return Left("key", arn.rpartition("/")[2], True, f"of an earlier deploy, will be deleted on {state.ends}")
    kind = _SERVICES.get(arn.split(":")[2])
    if earlier and kind is not None:
        return Left(_KINDS[kind], _last(arn), True, earlier)
    return Left("", arn, lenient, "carries the stack's tags")


def _connect(aws: Aws) -> None:
    aws.connect("s3", "dynamodb", "sqs", "logs", "lambda", "apigateway", "cloudwatch", "iam", "kms", "sns")
