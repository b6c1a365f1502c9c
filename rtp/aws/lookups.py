"""How each service says whether one of its resources exists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import logs, stacks

if TYPE_CHECKING:
    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class Existence:
    """Whether a resource exists. ends: the date of its pending deletion, or `soon`; empty where none is pending."""

    exists: bool
    ends: str = ""


Lookup = Callable[["Aws", str], Existence]
"""(AWS, physical id) -> existence. May raise the service's own error for a resource that does not exist."""


def by(service: str, operation: str, parameter: str) -> Lookup:
    """A call that fails unless the resource exists."""

    def lookup(aws: Aws, physical_id: str) -> Existence:
        aws.call(service, operation, **{parameter: physical_id})
        return Existence(True)

    return lookup


def alarm(aws: Aws, name: str) -> Existence:
    """CloudWatch answers an unknown name with an empty list."""
    return Existence(any(True for _ in aws.pages("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNames=[name])))


def queue(aws: Aws, url_or_arn: str) -> Existence:
    """SQS answers for a deleted queue for up to a minute; one that was found by its tags has an ARN and no URL."""
    if url_or_arn.startswith("arn:"):
        account, name = url_or_arn.split(":")[4:6]
        aws.call("sqs", "get_queue_url", QueueName=name, QueueOwnerAWSAccountId=account)
    else:
        aws.call("sqs", "get_queue_attributes", QueueUrl=url_or_arn)
    return Existence(True)


def stack(aws: Aws, stack_id: str) -> Existence:
    """CloudFormation describes a deleted stack for 90 days, by its id."""
    return Existence(stacks.describe(aws, stack_id) is not None)


def key(aws: Aws, key_id: str) -> Existence:
    """A deleted key exists, unusable, until its waiting time is over."""
    metadata: dict[str, Any] = aws.call("kms", "describe_key", KeyId=key_id)["KeyMetadata"]
    if metadata.get("KeyState") != "PendingDeletion":
        return Existence(True)
    ends: Any = metadata.get("DeletionDate")
    return Existence(True, ends.date().isoformat() if ends else "soon")


def sampling_rule(aws: Aws, rule: str) -> Existence:
    """X-Ray lists its rules, and has no call for one. rule: its ARN or name."""
    records = aws.pages("xray", "get_sampling_rules", "SamplingRuleRecords")
    rules = (record.get("SamplingRule") or {} for record in records)
    return Existence(any(rule in (one.get("RuleARN"), one.get("RuleName")) for one in rules))


def event_rule(aws: Aws, name: str) -> Existence:
    """EventBridge knows a rule by its bus and name. name: `bus|rule` or `bus/rule`; of the default bus the rule's."""
    bus, separator, rule = name.replace("|", "/").rpartition("/")
    aws.call("events", "describe_rule", Name=rule, **({"EventBusName": bus} if separator else {}))
    return Existence(True)


def log_group(aws: Aws, name: str) -> Existence:
    """CloudWatch Logs finds groups by prefix alone."""
    return Existence(name in logs.groups(aws, name))
