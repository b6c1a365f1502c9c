"""DynamoDB: the records, by key and through the sharded status index."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from rtp.aws import record_shape
from rtp.aws.failures import throttled
from rtp.contract import STATUS_INDEX
from rtp.errors import AwsError
from rtp.runtime import attributes, partial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rtp.aws import Aws

BATCH = 100  # the most keys that BatchGetItem accepts
_PAGE = 1000  # items of one page of a query; a page ends at 1 MB in any case


def by_id(aws: Aws, table: str, event_id: str) -> list[dict[str, Any]]:
    """Every record of an event id, oldest first. An id that was used with several timestamps has several records."""
    items = aws.pages(
        "dynamodb",
        "query",
        "Items",
        TableName=table,
        KeyConditionExpression="id = :id",
        ExpressionAttributeValues={":id": {"S": event_id}},
        ConsistentRead=True,
    )
    return list(_records(items))


def by_keys(aws: Aws, table: str, keys: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """The current records of these (id, timestamp) pairs, in any order, without those that do not exist."""
    return list(_records(items_by_keys(aws, table, keys)))


def items_by_keys(aws: Aws, table: str, keys: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    """The items of these keys as DynamoDB has them, in any order, without those that do not exist."""
    items: list[dict[str, Any]] = []
    for start in range(0, len(keys), BATCH):
        batch = [{"id": {"S": i}, "timestamp": {"N": str(t)}} for i, t in keys[start : start + BATCH]]

        def read(requested: Any) -> Any:
            answer = aws.call("dynamodb", "batch_get_item", RequestItems=requested)
            items.extend(answer["Responses"].get(table, ()))
            return answer.get("UnprocessedKeys") or {}

        left: Any = partial.complete(read, {table: {"Keys": batch, "ConsistentRead": True}})
        if left:
            raise throttled("dynamodb", "batch_get_item", f"{len(left[table]['Keys'])} records of {table}")
    return items


def delete(aws: Aws, table: str, key: tuple[str, int], *, event_type: str) -> bool:
    """Delete the record of an event of this type. Returns whether there was one."""
    try:
        aws.call(
            "dynamodb",
            "delete_item",
            TableName=table,
            Key={"id": {"S": key[0]}, "timestamp": {"N": str(key[1])}},
            ConditionExpression="#type = :type",
            ExpressionAttributeNames={"#type": "type"},
            ExpressionAttributeValues={":type": {"S": event_type}},
        )
    except AwsError as error:
        if error.service_code != "ConditionalCheckFailedException":
            raise
        return False
    return True


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """The newest `limit` records of a status between two times (epoch ms), or the oldest.

    type: of this event type only. has: only those with this attribute. keep: whether a record counts.
    page: records that one call reads at most, where nothing is filtered. first: that the first call reads at most, of a
    stream whose first records are used while the others are read; 0 for a page.
    """

    status: str
    since: int
    until: int
    limit: int
    type: str | None = None
    has: str | None = None
    oldest_first: bool = False
    keep: Callable[[dict[str, Any]], bool] | None = None
    page: int = _PAGE
    first: int = 0


def stream_by_status(aws: Aws, table: str, query: StatusQuery, *, shard: int) -> Iterator[dict[str, Any]]:
    """The records of one shard of the status index, in the order of the query; no more than a page is in memory.

    DynamoDB filters after it has read a page, so pages are read until there are enough records.
    """
    names = {"#t": "timestamp"} | ({"#k": "type"} if query.type is not None else {})
    values = {":a": {"N": str(query.since)}, ":b": {"N": str(query.until)}}
    values |= {":k": {"S": query.type}} if query.type is not None else {}
    filters = ["#k = :k"] if query.type is not None else []
    filters += [f"attribute_exists({query.has})"] if query.has is not None else []
    is_filtered = query.type is not None or query.keep is not None  # nearly all dead records have the attribute
    params = {
        "TableName": table,
        "IndexName": STATUS_INDEX,
        "KeyConditionExpression": "status_shard = :s AND #t BETWEEN :a AND :b",
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {":s": {"S": f"{query.status}#{shard}"}, **values},
        "ScanIndexForward": query.oldest_first,
        **({"FilterExpression": " AND ".join(filters)} if filters else {}),
    }
    records = _records(_items(aws, params, _PAGE if is_filtered else min(query.limit, query.page), query.first))
    return islice(filter(query.keep, records) if query.keep is not None else records, query.limit)


def _items(aws: Aws, params: dict[str, Any], page: int, first: int) -> Iterator[dict[str, Any]]:
    if first:
        answer = aws.call("dynamodb", "query", **params, Limit=first)
        yield from answer.get("Items", ())
        if "LastEvaluatedKey" not in answer:
            return
        params = {**params, "ExclusiveStartKey": answer["LastEvaluatedKey"]}
    yield from aws.pages("dynamodb", "query", "Items", **params, Limit=page)


def _records(items: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    return filter(record_shape.is_one, map(item, items))


def item(attributes_by_name: dict[str, Any]) -> dict[str, Any]:
    """A record as plain values: int where a number is whole, otherwise an exact Decimal."""
    return record_shape.of({name: attributes.unpack(value) for name, value in attributes_by_name.items()})
