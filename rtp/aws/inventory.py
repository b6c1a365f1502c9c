"""Whether a resource exists, which resources carry a tag, and how many items a table has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import resource_types
from rtp.aws.lookups import Existence
from rtp.errors import AwsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rtp.aws import Aws

_NO_SUCH_RESOURCE = (
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


def lookup(aws: Aws, resource_type: str, physical_id: str) -> Existence | None:
    """Whether a resource exists; None for types that come and go with another resource."""
    ask = resource_types.of(resource_type).lookup
    if ask is None or not physical_id:
        return None
    try:
        return ask(aws, physical_id)
    except AwsError as error:
        if error.service_code in _NO_SUCH_RESOURCE:
            return Existence(False)
        raise


def tagged(aws: Aws, tags: dict[str, str]) -> Iterator[str]:
    """ARNs of the resources that carry all these tags. The service lists deleted resources for some time."""
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
