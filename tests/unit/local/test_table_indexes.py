"""A query of an index answers with and without the patch alike, and with it reads the items of its page alone."""

from __future__ import annotations

import itertools
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from rtp.local.patches.table_indexes import Indexes

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = {
    "TableName": "records",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "timestamp", "AttributeType": "N"},
        {"AttributeName": "status_shard", "AttributeType": "S"},
    ],
    "KeySchema": [
        {"AttributeName": "id", "KeyType": "HASH"},
        {"AttributeName": "timestamp", "KeyType": "RANGE"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-status",
            "KeySchema": [
                {"AttributeName": "status_shard", "KeyType": "HASH"},
                {"AttributeName": "timestamp", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
CONDITIONS = ("", "#t = :a", "#t < :b", "#t <= :b", "#t > :a", "#t >= :a", "#t BETWEEN :a AND :b")


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine's module with an empty table, whose own functions are restored."""
    from ministack.services import dynamodb as module

    for name in ("_query", "_index_members", "_index_item"):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(module, "_tables", type(module._tables)())
    assert module._create_table(TABLE)[0] == 200
    return module


def install(dynamodb: Any, indexes: Indexes) -> None:
    indexes.query_one = dynamodb._query
    dynamodb._index_members, dynamodb._index_item = indexes.members, indexes.index
    dynamodb._query = indexes.query


def item(n: int, at: int, status: str, text: str = "") -> dict[str, Any]:
    return {"id": {"S": str(n)}, "timestamp": {"N": str(at)}, "status_shard": {"S": status}, "text": {"S": text}}


def put(dynamodb: Any, some: dict[str, Any]) -> None:
    assert dynamodb._put_item({"TableName": "records", "Item": some})[0] == 200


def pages(query: Callable[[dict[str, Any]], Any], condition: str, **options: Any) -> list[list[str]]:
    """The ids of each page of a query, to its end."""
    used = [name for name in (":a", ":b") if name in condition]
    request = {
        "TableName": "records",
        "IndexName": "by-status",
        "KeyConditionExpression": "status_shard = :s" + (f" AND {condition}" if condition else ""),
        "ExpressionAttributeValues": {":s": {"S": "dead"}} | {n: {"N": "8" if n == ":a" else "14"} for n in used},
    } | options
    if condition:
        request["ExpressionAttributeNames"] = {"#t": "timestamp"}
    read: list[list[str]] = []
    while True:
        status, _, body = query(request)
        answer = json.loads(body)
        assert status == 200, answer
        read.append([i["id"]["S"] for i in answer["Items"]])
        if "LastEvaluatedKey" not in answer:
            return read
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def test_a_query_answers_as_without_the_patch(dynamodb: Any) -> None:
    # Given records that change their status, share a timestamp and are deleted
    draw = random.Random(5)  # noqa: S311 - no secret
    queries = [
        (condition, {"ScanIndexForward": forward} | ({"Limit": limit} if limit else {}))
        for condition, forward, limit in itertools.product(CONDITIONS, (True, False), (None, 1, 4, 1000))
    ]
    answers = []
    for is_patched in (False, True):
        draw.seed(5)
        if is_patched:
            install(dynamodb, Indexes(dynamodb))
            dynamodb._tables.clear()
            dynamodb._create_table(TABLE)
        for step in range(200):
            put(dynamodb, item(draw.randrange(40), draw.randrange(20), draw.choice(["dead", "processed"])))
            if step % 3 == 0:
                key = {"id": {"S": str(draw.randrange(40))}, "timestamp": {"N": str(draw.randrange(20))}}
                dynamodb._delete_item({"TableName": "records", "Key": key})
            if step == 100:
                pages(dynamodb._query, "")  # builds the index, which is updated from here on
        answers.append([pages(dynamodb._query, condition, **options) for condition, options in queries])
    # Then
    assert answers[0] == answers[1]


def test_a_query_without_a_limit_ends_at_1_mb(dynamodb: Any) -> None:
    for n in range(5):
        put(dynamodb, item(n, n, "dead", "x" * 300_000))
    expected = pages(dynamodb._query, "")
    install(dynamodb, Indexes(dynamodb))
    dynamodb._tables["records"].pop("_index_members")
    assert pages(dynamodb._query, "") == expected == [["0", "1", "2"], ["3", "4"]]


@pytest.mark.parametrize("count", [100, 600])
def test_a_page_reads_its_items_alone(dynamodb: Any, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    # Given
    install(dynamodb, Indexes(dynamodb))
    for n in range(count):
        put(dynamodb, item(n, n, "dead"))
    pages(dynamodb._query, "#t = :a")
    compared: list[object] = []
    evaluate = dynamodb._evaluate_condition

    def evaluated(*args: Any, **named: Any) -> Any:
        compared.append(args)
        return evaluate(*args, **named)

    monkeypatch.setattr(dynamodb, "_evaluate_condition", evaluated)
    # When
    status, _, body = dynamodb._query(
        {
            "TableName": "records",
            "IndexName": "by-status",
            "KeyConditionExpression": "status_shard = :s",
            "ExpressionAttributeValues": {":s": {"S": "dead"}},
            "ScanIndexForward": False,
            "Limit": 10,
        }
    )
    # Then
    assert (status, len(json.loads(body)["Items"]), len(compared)) == (200, 10, 10)
