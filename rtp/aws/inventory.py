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
    """Whether a resource exists; None for types that come and go with another resource. Raises AwsError."""
    check = resource_types.of(resource_type).lookup
    if check is None or not physical_id:
        return None
    try:
        return check(aws, physical_id)
    except AwsError as error:
        if error.service_code in _NO_SUCH_RESOURCE:
            return Existence(False)
        raise


def tagged(aws: Aws, tags: dict[str, str]) -> Iterator[str]:
    """ARNs of the resources that carry all these tags. The service lists deleted resources for some time."""
    filters = [{"Key": k, "Values": [v]} for k, v in tags.items()]
    pages = aws.pages("resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters)
    yield from (mapping["ResourceARN"] for mapping in pages)


def tags(aws: Aws, arns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Tags by ARN, of at most a hundred resources. Resources without tags are left out."""
    if not arns:
        return {}
    mappings = aws.pages(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", ResourceARNList=list(arns)
    )
    return {m["ResourceARN"]: {t["Key"]: t["Value"] for t in m.get("Tags", ())} for m in mappings}


def item_count(aws: Aws, table: str) -> int:
    """Number of items of a table. DynamoDB counts them every few hours, an emulator at each call."""
    return int(aws.call("dynamodb", "describe_table", TableName=table)["Table"].get("ItemCount", 0))
