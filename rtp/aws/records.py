"""DynamoDB: the records, by key and through the sharded status index."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from rtp.contract import STATUS_INDEX
from rtp.runtime import attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.aws import Aws

_KEYS = 100  # of one BatchGetItem
_PAGE = 1000  # items of one query's page; a page ends at 1 MB in any case


def by_id(aws: Aws, table: str, event_id: str) -> list[dict[str, Any]]:
    """Every record of an event id, oldest first; an id used with several timestamps has several."""
    found = aws.pages(
        "dynamodb",
        "query",
        "Items",
        TableName=table,
        KeyConditionExpression="id = :id",
        ExpressionAttributeValues={":id": {"S": event_id}},
        ConsistentRead=True,
    )
    return [item(i) for i in found]


def by_keys(aws: Aws, table: str, keys: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """The records of these (id, timestamp) pairs as they are this moment, in any order, without what is missing."""
    found: list[dict[str, Any]] = []
    for start in range(0, len(keys), _KEYS):
        wanted: Any = {
            table: {
                "Keys": [{"id": {"S": i}, "timestamp": {"N": str(t)}} for i, t in keys[start : start + _KEYS]],
                "ConsistentRead": True,
            }
        }
        while wanted:
            answer = aws.call("dynamodb", "batch_get_item", RequestItems=wanted)
            found += [item(i) for i in answer["Responses"].get(table, ())]
            wanted = answer.get("UnprocessedKeys")
    return found


def by_status(  # one parameter for each condition of the query
    aws: Aws, table: str, status: str, *, shard: int, since: int, until: int, limit: int, kind: str | None = None
) -> list[dict[str, Any]]:
    """One shard's newest `limit` records of a status between two times (epoch ms), newest first.

    kind: only this type. DynamoDB leaves the others out of its pages, and pages are read until there are enough.
    """
    names = {"#t": "timestamp"} | ({"#k": "type"} if kind is not None else {})
    values = {":a": {"N": str(since)}, ":b": {"N": str(until)}} | ({":k": {"S": kind}} if kind is not None else {})
    only = {"FilterExpression": "#k = :k"} if kind is not None else {}
    items = aws.pages(
        "dynamodb",
        "query",
        "Items",
        TableName=table,
        IndexName=STATUS_INDEX,
        KeyConditionExpression="status_shard = :s AND #t BETWEEN :a AND :b",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={":s": {"S": f"{status}#{shard}"}, **values},
        ScanIndexForward=False,
        Limit=_PAGE if kind is not None else min(limit, _PAGE),
        **only,
    )
    return [item(i) for i in islice(items, limit)]


def item(found: dict[str, Any]) -> dict[str, Any]:
    """A DynamoDB item as plain values: int where a number is whole, an exact Decimal otherwise."""
    return {name: attributes.unpack(value) for name, value in found.items()}
