"""What a destroy has left, by each resource's own service and a search by name and tag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import inventory as services
from rtp.aws import logs, resource_types
from rtp.aws.resource_types import BUCKET, KEY, LOG_GROUP, TABLE
from rtp.contract import MANAGED_BY, Tag, partition
from rtp.errors import AwsError
from rtp.ops.access import ownership
from rtp.ops.stack.teardown.inventory import Item, bootstrap, connect
from rtp.ops.work import pool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource
    from rtp.config import Environment
    from rtp.ops.stack.operation import Target

_THREADS = 16


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is still there.

    kind: such as `bucket` or `queue`. expected: whether the plan said so. why: the reason, or the next step.
    """

    kind: str
    name: str
    expected: bool
    why: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What is gone and what is left, asked of each service itself.

    gone: resources that their services no longer know. left: what is still there.
    """

    stack: str
    gone: int
    left: tuple[Left, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is left that should be gone."""
        return all(item.expected for item in self.left)


def prove(
    target: Target,
    resources: Sequence[Resource],
    keep: frozenset[str],
    *,
    keep_data: bool,
    api_id: str,
    known: Sequence[str] = (),
) -> Proof:
    """Ask every resource's own service, and search by name and tag. Log groups that came back are deleted.

    known: names of what is accounted for elsewhere, such as secrets.
    """
    aws, environment = target.aws, target.environment
    connect(aws)
    states = list(pool.map(lambda r: services.lookup(aws, r.resource_type, r.physical_id), resources, threads=_THREADS))
    left, gone = [], 0
    recreated: list[str] = []  # log groups that a function's last lines have created again
    for resource, state in zip(resources, states, strict=True):
        if state is None or not state.exists:
            gone += 1
            continue
        resource_type = resource_types.of(resource.resource_type)
        kind = resource_type.name
        if state.ends:
            left.append(Left(kind, resource.physical_id, True, f"will be deleted on {state.ends}"))
        elif resource.logical_id in keep:
            left.append(Left(kind, resource.physical_id, True, "kept"))
        elif resource.status.never_created and (resource_type.kept_with_data or resource_type.recreated):
            left.append(Left(kind, resource.physical_id, True, _kept_by(environment)))
        elif resource_type.recreated:
            recreated.append(resource.physical_id)
        else:
            left.append(Left(kind, resource.physical_id, False, "should be gone"))
    for name, others in ownership.of_others(aws, environment, {n: _log_group_arn(aws, n) for n in recreated}).items():
        if others is None:
            left.append(Left("log group", name, True, "created again; not deleted, because its tags could not be read"))
            continue
        if not others:
            logs.delete_group(aws, name)
        gone += 1
    checked = {*(r.physical_id for r in resources), *known}
    lenient = keep_data or environment.protected  # then an earlier stack may have kept something on purpose
    orphan_groups = {n: _log_group_arn(aws, n) for n in _orphan_groups(aws, environment, api_id) if n not in checked}
    left += [
        Left("log group", name, lenient, "not of the stack")
        for name, others in ownership.of_others(aws, environment, orphan_groups).items()
        if not others
    ]
    arns = _tagged(aws, environment, checked)
    own = (environment.names.table, environment.names.bucket(aws.account, aws.region))
    earlier = _kept_by(environment) if any(_last(arn) in own for arn in arns) else ""
    left += [_by_tag(aws, arn, lenient, earlier) for arn in arns]
    left += [Left(i.kind, i.name, True, i.note) for i in bootstrap(aws)]
    return Proof(target.name, gone, tuple(left))


def orphans(target: Target) -> tuple[Item, ...]:
    """What an earlier stack of the environment has left: resources of its names, and data with its tags.

    Data with the stack's tags was kept on purpose, as its note says. A resource that has one of the names and another
    project's tags is that project's and is left out.
    """
    aws, environment = target.aws, target.environment
    names = environment.names
    named = [
        (TABLE, names.table),
        (BUCKET, names.bucket(aws.account, aws.region)),
        *((LOG_GROUP, names.log_group(f)) for f in (names.processor, names.worker)),
    ]
    states = [services.lookup(aws, kind, name) for kind, name in named]
    existing = [each for each, state in zip(named, states, strict=True) if state is not None and state.exists]
    items = {name: Item(resource_types.of(kind).name, name) for kind, name in existing}
    arns = {name: _arn(aws, kind, name) for kind, name in existing}
    found = {n: items[n] for n, others in ownership.of_others(aws, environment, arns).items() if not others}
    for arn in _tagged(aws, environment, set()):
        data, name = resource_types.of_kept_data(arn), _last(arn)
        if data is None:
            continue
        state = services.lookup(aws, data.type, name)
        if state is not None and state.exists and not state.ends:
            found[name] = Item(data.name, name, _kept_by(environment))
    return tuple(found.values())


def _kept_by(environment: Environment) -> str:
    return f"kept by an earlier `rtp destroy{'' if environment.protected else ' --keep-data'}`"


def _last(arn: str) -> str:
    """The name at an ARN's end."""
    return arn.rpartition(":")[2].rpartition("/")[2]


def _orphan_groups(aws: Aws, environment: Environment, api_id: str) -> list[str]:
    names = environment.names
    whole = [*(names.log_group(f) for f in (names.processor, names.worker)), names.access_log_group]
    # Another project's group may begin with the whole name of one of ours: shop-dev-worker, and shop-dev-worker-eu-api.
    found = [name for name in whole if name in logs.groups(aws, name)]
    prefixes = [names.log_group(f"{names.stack}-Custom")]  # no project's name has capitals
    if api_id:
        prefixes.append(f"API-Gateway-Execution-Logs_{api_id}/")
    return found + [name for prefix in prefixes for name in logs.groups(aws, prefix)]


def _tagged(aws: Aws, environment: Environment, checked: set[str]) -> list[str]:
    """ARNs with the stack's tags, without the resources that were checked one by one."""
    tags = {
        Tag.PROJECT.value: environment.project,
        Tag.ENVIRONMENT.value: environment.name,
        Tag.MANAGED_BY.value: MANAGED_BY,
    }
    try:
        found = list(services.tagged(aws, tags))
    except AwsError as error:
        if error.code == "access-denied":
            return []
        raise
    ends = {k.rpartition("/")[2].rpartition(":")[2] for k in checked}
    return [arn for arn in found if not any(part in ends for part in arn.replace("/", ":").split(":")[5:])]


def _arn(aws: Aws, kind: str, name: str) -> str:
    if kind == LOG_GROUP:
        return _log_group_arn(aws, name)
    start = f"arn:{partition(aws.region)}"
    if kind == BUCKET:
        return f"{start}:s3:::{name}"
    return f"{start}:dynamodb:{aws.region}:{aws.account}:table/{name}"


def _log_group_arn(aws: Aws, name: str) -> str:
    return f"arn:{partition(aws.region)}:logs:{aws.region}:{aws.account}:log-group:{name}"


def _by_tag(aws: Aws, arn: str, lenient: bool, earlier: str) -> Left:
    """earlier: why data of an earlier stack still exist; empty where none do."""
    if ":kms:" in arn:
        state = services.lookup(aws, KEY, arn)
        if state is not None and state.ends:
            return Left("key", arn.rpartition("/")[2], True, f"of an earlier deploy, will be deleted on {state.ends}")
    data = resource_types.of_kept_data(arn)
    if earlier and data is not None:
        return Left(data.name, _last(arn), True, earlier)
    return Left("", arn, lenient, "carries the stack's tags")
