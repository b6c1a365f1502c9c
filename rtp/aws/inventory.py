"""Whether a resource is still there, asked of its own service, and searches for what a stack may have left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rtp.aws import Aws

_GONE = (
    "404",
    "NoSuchBucket",
    "NoSuchEntity",
    "NotFound",
    "NotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "DashboardNotFoundError",
    "ApplicationDoesNotExistException",
)


@dataclass(frozen=True, slots=True)
class State:
    """Of one resource. ends: when a pending deletion comes true, as a date; empty when none is pending."""

    exists: bool
    ends: str = ""


def state(aws: Aws, resource_type: str, physical_id: str) -> State | None:
    """How a resource is; None for types that come and go with another one."""
    look = _LOOKS.get(resource_type)
    if look is None or not physical_id:
        return None
    try:
        return look(aws, physical_id)
    except AwsError as error:
        if error.service_code in _GONE:
            return State(False)
        raise


def log_groups(aws: Aws, prefix: str) -> Iterator[str]:
    """Names of the log groups that begin so."""
    for group in aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
        yield group["logGroupName"]


def delete_log_group(aws: Aws, name: str) -> None:
    """Delete a log group; one that is gone already is fine."""
    try:
        aws.call("logs", "delete_log_group", logGroupName=name)
    except AwsError as error:
        if error.service_code not in _GONE:
            raise


def tagged(aws: Aws, tags: dict[str, str]) -> Iterator[str]:
    """ARNs of what carries all these tags. The service forgets deleted resources late."""
    filters = [{"Key": k, "Values": [v]} for k, v in tags.items()]
    for found in aws.pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters):
        yield found["ResourceARN"]


def tags(aws: Aws, arns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Tags by ARN, of at most a hundred resources; without those that have none."""
    if not arns:
        return {}
    found = aws.call("resourcegroupstaggingapi", "get_resources", ResourceARNList=list(arns))
    return {
        f["ResourceARN"]: {t["Key"]: t["Value"] for t in f.get("Tags", ())} for f in found["ResourceTagMappingList"]
    }


def item_count(aws: Aws, table: str) -> int:
    """Items of a table, as DynamoDB counts them every few hours; an emulator counts at once."""
    return int(aws.call("dynamodb", "describe_table", TableName=table)["Table"].get("ItemCount", 0))


def _asked(service: str, operation: str, parameter: str) -> Callable[[Aws, str], State]:
    def look(aws: Aws, physical_id: str) -> State:
        aws.call(service, operation, **{parameter: physical_id})
        return State(True)

    return look


def _listed(service: str, operation: str, parameter: str, key: str) -> Callable[[Aws, str], State]:
    def look(aws: Aws, physical_id: str) -> State:
        return State(bool(aws.call(service, operation, **{parameter: [physical_id]}).get(key)))

    return look


def _key(aws: Aws, physical_id: str) -> State:
    found: dict[str, Any] = aws.call("kms", "describe_key", KeyId=physical_id)["KeyMetadata"]
    if found.get("KeyState") != "PendingDeletion":
        return State(True)
    ends: Any = found.get("DeletionDate")
    return State(True, ends.date().isoformat() if ends else "soon")


def _log_group(aws: Aws, name: str) -> State:
    return State(name in log_groups(aws, name))


def _layer(aws: Aws, arn: str) -> State:
    aws.call("lambda", "get_layer_version_by_arn", Arn=arn)
    return State(True)


_LOOKS: dict[str, Callable[[Aws, str], State]] = {
    "AWS::ApiGateway::ApiKey": _asked("apigateway", "get_api_key", "apiKey"),
    "AWS::ApiGateway::RestApi": _asked("apigateway", "get_rest_api", "restApiId"),
    "AWS::ApiGateway::UsagePlan": _asked("apigateway", "get_usage_plan", "usagePlanId"),
    "AWS::CloudWatch::Alarm": _listed("cloudwatch", "describe_alarms", "AlarmNames", "MetricAlarms"),
    "AWS::CloudWatch::Dashboard": _asked("cloudwatch", "get_dashboard", "DashboardName"),
    "AWS::CodeDeploy::Application": _asked("codedeploy", "get_application", "applicationName"),
    "AWS::DynamoDB::Table": _asked("dynamodb", "describe_table", "TableName"),
    "AWS::IAM::Role": _asked("iam", "get_role", "RoleName"),
    "AWS::KMS::Key": _key,
    "AWS::Lambda::EventSourceMapping": _asked("lambda", "get_event_source_mapping", "UUID"),
    "AWS::Lambda::Function": _asked("lambda", "get_function_configuration", "FunctionName"),
    "AWS::Lambda::LayerVersion": _layer,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::S3::Bucket": _asked("s3", "head_bucket", "Bucket"),
    "AWS::SNS::Topic": _asked("sns", "get_topic_attributes", "TopicArn"),
    "AWS::SQS::Queue": _asked("sqs", "get_queue_attributes", "QueueUrl"),
}
