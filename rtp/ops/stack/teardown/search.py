"""Searching for resources of an environment by its tags and by the names that its stack gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import inventory as services
from rtp.aws import logs, resource_types
from rtp.aws.resource_types import ALARM, BUCKET, DASHBOARD, FUNCTION, KEY_ALIAS, LOG_GROUP, QUEUE, TABLE, TOPIC
from rtp.contract import MANAGED_BY, Alarm, Tag, partition
from rtp.errors import AwsError
from rtp.ops.access import ownership
from rtp.ops.stack.teardown.asking import NotAsked, Subject, last

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws
    from rtp.config import Environment


def by_tags(
    aws: Aws, environment: Environment, known_names: Sequence[str] = ()
) -> tuple[dict[Subject, str], list[NotAsked]]:
    """ARNs of the resources with the stack's tags, and what cannot be asked. AWS remembers deleted ones for minutes.

    The part of a resource, such as a stage of an API, counts as that resource. known_names: left out.
    """
    tags = {
        Tag.PROJECT.value: environment.project,
        Tag.ENVIRONMENT.value: environment.name,
        Tag.MANAGED_BY.value: MANAGED_BY,
    }
    try:
        arns = list(services.tagged(aws, tags))
    except AwsError as error:
        if error.code == "access-denied":
            return {}, [NotAsked("search by tags", environment.names.stack, error.message)]
        raise
    subjects: dict[Subject, str] = {}
    unknown = []
    ends = {last(name) for name in known_names}
    for arn in arns:
        if ends & set(arn.replace("/", ":").split(":")[5:]):
            continue
        known = resource_types.of_arn(arn)
        if known is None:
            service = arn.split(":")[2]
            unknown.append(NotAsked(service, arn, "has the stack's tags; rtp knows no call that asks for it"))
        else:
            subjects[Subject(known[0].type, known[1])] = arn
    return subjects, unknown


def by_name(aws: Aws, environment: Environment) -> dict[Subject, str]:
    """ARNs of what a stack of this environment would have under a name of its own, whether it exists or not."""
    names, region, account = environment.names, aws.region, aws.account
    start = f"arn:{partition(region)}"
    functions = (names.processor, names.worker, names.emptier, names.notifier)
    groups = (*(names.log_group(f) for f in functions), names.access_log_group)
    queues = [f"{start}:sqs:{region}:{account}:{name}" for name in (names.queue, names.dlq)]
    topic = f"{start}:sns:{region}:{account}:{names.topic}"
    bucket = names.bucket(account, region)
    return {
        Subject(TABLE, names.table): f"{start}:dynamodb:{region}:{account}:table/{names.table}",
        Subject(BUCKET, bucket): f"{start}:s3:::{bucket}",
        **{Subject(LOG_GROUP, name): log_group_arn(aws, name) for name in groups},
        **{Subject(QUEUE, arn): arn for arn in queues},
        **{Subject(FUNCTION, name): f"{start}:lambda:{region}:{account}:function:{name}" for name in functions},
        **{
            Subject(ALARM, name): f"{start}:cloudwatch:{region}:{account}:alarm:{name}"
            for name in map(names.alarm, Alarm)
        },
        Subject(DASHBOARD, names.dashboard): f"{start}:cloudwatch::{account}:dashboard/{names.dashboard}",
        Subject(TOPIC, topic): topic,
        Subject(KEY_ALIAS, names.key_alias): f"{start}:kms:{region}:{account}:{names.key_alias}",
    }


def of_others(aws: Aws, environment: Environment, arns: dict[Subject, str]) -> set[Subject]:
    """Those that belong to another project, whose stack has the same name: by their tags.

    Dashboards and key aliases take no tags; one counts as the other project's where anything else is.
    """
    untagged = {subject for subject in arns if subject.type in (DASHBOARD, KEY_ALIAS)}
    tagged = {subject.id: arn for subject, arn in arns.items() if subject not in untagged}
    theirs = {id for id, others in ownership.of_others(aws, environment, tagged).items() if others}
    return {subject for subject in arns if subject.id in theirs} | (untagged if theirs else set())


def log_groups(aws: Aws, environment: Environment, api_id: str) -> list[str]:
    """Log groups that functions and API have made for the stack, or may have made again after its deletion."""
    names = environment.names
    whole = [*(names.log_group(f) for f in (names.processor, names.worker)), names.access_log_group]
    # Another project's group may begin with the whole name of one of ours: shop-dev-worker, and shop-dev-worker-eu-api.
    found = [name for name in whole if name in logs.groups(aws, name)]
    prefixes = [names.log_group(f"{names.stack}-Custom")]  # no project's name has capitals
    if api_id:
        prefixes.append(f"API-Gateway-Execution-Logs_{api_id}/")
    return found + [name for prefix in prefixes for name in logs.groups(aws, prefix)]


def log_group_arn(aws: Aws, name: str) -> str:
    """ARN of a log group."""
    return f"arn:{partition(aws.region)}:logs:{aws.region}:{aws.account}:log-group:{name}"
