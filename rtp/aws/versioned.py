"""DynamoDB items of the table that are no records: each write is over one version, so that none is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.aws import records
from rtp.errors import AwsError
from rtp.runtime import attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws

VERSION = "version"


def read(aws: Aws, table: str, keys: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """The items of these keys as plain values, in any order, without those that do not exist."""
    items = records.items_by_keys(aws, table, keys)
    return [{name: attributes.unpack(value) for name, value in item.items()} for item in items]


def put(aws: Aws, table: str, key: tuple[str, int], values: dict[str, Any], *, over: int) -> bool:
    """Write an item whose version is `over`, 0 for one that does not exist. Returns whether it is written.

    A write whose answer was lost is repeated and then meets itself: the item is read to see whose it is.
    """
    written = {**values, VERSION: over + 1}
    names = {f"#{n}": name for n, name in enumerate(written)}
    packed = {f":{n}": attributes.pack(value) for n, value in enumerate(written.values())}
    condition = "attribute_not_exists(id)"
    if over:
        condition, packed = "#version = :version", {**packed, ":version": {"N": str(over)}}
        names["#version"] = VERSION
    try:
        aws.call(
            "dynamodb",
            "update_item",
            TableName=table,
            Key={"id": {"S": key[0]}, "timestamp": {"N": str(key[1])}},
            UpdateExpression="SET " + ", ".join(f"#{n} = :{n}" for n in range(len(written))),
            ConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=packed,
        )
    except AwsError as error:
        if error.service_code != "ConditionalCheckFailedException":
            raise
        stored = [found for found in read(aws, table, [key]) if found.get(VERSION) == over + 1]
        return any(all(found.get(name) == value for name, value in written.items()) for found in stored)
    return True
