"""Indexes of tables that are kept in order, so that a page of a query reads the items of that page alone."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.local.telemetry import Telemetry

PAGE_BYTES = 1024 * 1024  # a page of a query ends there

_Key = tuple[Any, Any]  # partition and sort value of an item in its table
_Order = tuple[Any, ...]  # of the item in an index: sort value, then the table's own key
_sort_value = itemgetter(0)


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import dynamodb

    require(
        dynamodb,
        "_INDEX_MEMBERS",
        "_apply_index_projection",
        "_index_def",
        "_index_key_lists",
        "_index_key_schemas",
        "_index_order_keys",
        "_index_order_value",
        "_index_partition",
        "_item_size_bytes",
        "_key_condition_clauses",
        "_sort_key_value",
        "_get_attr_type",
        "_tokenize",
    )
    indexes = Indexes(dynamodb)
    replace(dynamodb, "_index_members", indexes.members, "table")
    replace(dynamodb, "_index_item", indexes.index, "table base_pk base_sk item add")
    indexes.query_one = replace(dynamodb, "_query", indexes.query, "data")


PATCH = Patch(
    name="table_indexes",
    aws="-",
    engine=(
        "Each page of a query of an index sorts and compares every item of the index's partition: a status with "
        "100,000 records takes seconds a page."
    ),
    test="tests/unit/local/test_table_indexes.py::test_a_query_answers_as_without_the_patch",
    install=install,
    kind="speed",
)


class Partition:
    """The items of one partition of an index, in its order."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []
        self._keys: list[_Key] = []
        self._order_of: dict[_Key, _Order] = {}

    def __bool__(self) -> bool:
        return bool(self._orders)

    def add(self, key: _Key, order: _Order) -> None:
        """Add an item, or change its place."""
        self.remove(key)
        at = bisect_right(self._orders, order)
        self._orders.insert(at, order)
        self._keys.insert(at, key)
        self._order_of[key] = order

    def fill(self, entries: list[tuple[_Order, _Key]]) -> None:
        """Add many items at once to a new partition."""
        entries.sort(key=itemgetter(0))
        self._orders = [order for order, _ in entries]
        self._keys = [key for _, key in entries]
        self._order_of = {key: order for order, key in entries}

    def remove(self, key: _Key) -> None:
        """Remove an item, if it is there."""
        order = self._order_of.pop(key, None)
        if order is not None:
            at = bisect_left(self._orders, order)
            while self._keys[at] != key:
                at += 1
            del self._orders[at], self._keys[at]

    def between(self, bounds: Bounds, cursor: _Order | None, *, forward: bool) -> Iterator[_Key]:
        """The keys within the bounds and after the cursor, in the direction of the query."""
        first = bounds.first(self._orders)
        last = bounds.last(self._orders)
        if cursor is not None and forward:
            first = max(first, bisect_right(self._orders, cursor))
        elif cursor is not None:
            last = min(last, bisect_left(self._orders, cursor))
        numbers = range(first, last) if forward else range(last - 1, first - 1, -1)
        return (self._keys[number] for number in numbers)


class Bounds:
    """The sort values that a key condition allows; without a condition, all."""

    def __init__(self, operator: str = "", values: tuple[Any, ...] = ()) -> None:
        self._operator = operator
        self._values = values

    def first(self, orders: list[_Order]) -> int:
        """The number of the first allowed item."""
        if self._operator in ("EQ", "GE", "BETWEEN"):
            return bisect_left(orders, self._values[0], key=_sort_value)
        return bisect_right(orders, self._values[0], key=_sort_value) if self._operator == "GT" else 0

    def last(self, orders: list[_Order]) -> int:
        """The number after the last allowed item."""
        if self._operator in ("EQ", "LE", "BETWEEN"):
            return bisect_right(orders, self._values[-1], key=_sort_value)
        return bisect_left(orders, self._values[-1], key=_sort_value) if self._operator == "LT" else len(orders)


class _Page:
    """The partitions of an index, each read as one page of the query under way."""

    def __init__(self, indexes: Indexes, table: dict[str, Any], name: str, partitions: dict[Any, Partition]) -> None:
        self._indexes, self._table, self._name, self._partitions = indexes, table, name, partitions

    def get(self, partition: Any, default: Iterable[_Key]) -> Iterable[_Key]:
        """The keys of the page."""
        found = self._partitions.get(partition)
        return default if found is None else self._indexes.page(self._table, self._name, found)


class Indexes:
    """The engine's indexes, each a partition in order by the value of its hash key."""

    query_one: Any

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb
        self._request = threading.local()

    def query(self, data: dict[str, Any]) -> Any:
        """Query."""
        self._request.data = data
        try:
            return self.query_one(data)
        finally:
            self._request.data = None

    def members(self, table: dict[str, Any]) -> dict[str, _Page]:
        """The indexes of a table by name, for the query under way."""
        return {name: _Page(self, table, name, partitions) for name, partitions in self._partitions(table).items()}

    def index(self, table: dict[str, Any], base_pk: Any, base_sk: Any, item: dict[str, Any], add: bool) -> None:
        """Add an item to its partitions, or remove it."""
        name = self._dynamodb._INDEX_MEMBERS
        indexes = table.get(name)
        if indexes is None:
            return
        for index_name, hashes, ranges in self._dynamodb._index_key_schemas(table):
            if index_name not in indexes:
                table.pop(name, None)
                return
            partition = self._dynamodb._index_partition(item, hashes, ranges)
            if partition is None:
                continue
            partitions = indexes[index_name]
            if add:
                partitions.setdefault(partition, Partition()).add((base_pk, base_sk), self._order(table, ranges, item))
            elif partition in partitions:
                partitions[partition].remove((base_pk, base_sk))
                if not partitions[partition]:
                    del partitions[partition]

    def page(self, table: dict[str, Any], name: str, partition: Partition) -> Iterator[_Key]:
        """The keys of the items that the query under way reads; one that is not limited ends at 1 MB."""
        data = getattr(self._request, "data", None) or {}
        _, ranges = self._dynamodb._index_key_lists(self._dynamodb._index_def(table, name))
        start = data.get("ExclusiveStartKey")
        keys = partition.between(
            self._bounds(table, ranges, data),
            self._order(table, ranges, start) if start else None,
            forward=data.get("ScanIndexForward", True) is not False,
        )
        limit = int(data["Limit"]) if data.get("Limit") and data.get("KeyConditionExpression") else None
        size = 0
        for count, (pk, sk) in enumerate(keys, start=1):
            yield pk, sk
            if count == limit or size > PAGE_BYTES:
                return
            if limit is None and data.get("KeyConditionExpression"):
                item = table["items"].get(pk, {}).get(sk, {})
                size += self._dynamodb._item_size_bytes(self._dynamodb._apply_index_projection(item, table, name))

    def _partitions(self, table: dict[str, Any]) -> dict[str, dict[Any, Partition]]:
        name = self._dynamodb._INDEX_MEMBERS
        indexes: dict[str, dict[Any, Partition]] | None = table.get(name)
        if indexes is None:
            indexes = table[name] = self._built(table)
        return indexes

    def _built(self, table: dict[str, Any]) -> dict[str, dict[Any, Partition]]:
        """The indexes of all items of a table."""
        value, partition_of = self._dynamodb._index_order_value, self._dynamodb._index_partition
        schemas = [
            (
                name,
                hashes,
                ranges,
                self._dynamodb._index_order_keys(table, ranges),
                dict[Any, list[tuple[_Order, _Key]]](),
            )
            for name, hashes, ranges in self._dynamodb._index_key_schemas(table)
        ]
        for pk, items in table["items"].items():
            for sk, item in items.items():
                for _, hashes, ranges, keys, entries in schemas:
                    partition = partition_of(item, hashes, ranges)
                    if partition is not None:
                        order = tuple(value(item, name, kind) for name, kind in keys)
                        entries.setdefault(partition, []).append((order, (pk, sk)))
        indexes: dict[str, dict[Any, Partition]] = {}
        for name, _, _, _, entries in schemas:
            indexes[name] = {partition: Partition() for partition in entries}
            for partition, some in entries.items():
                indexes[name][partition].fill(some)
        return indexes

    def _order(self, table: dict[str, Any], ranges: list[str], item: dict[str, Any]) -> _Order:
        value = self._dynamodb._index_order_value
        return tuple(value(item, name, kind) for name, kind in self._dynamodb._index_order_keys(table, ranges))

    def _bounds(self, table: dict[str, Any], ranges: list[str], data: dict[str, Any]) -> Bounds:
        """The bounds by the sort key of an index, where the query's condition has a form that gives them."""
        if len(ranges) != 1:
            return Bounds()
        names, values = data.get("ExpressionAttributeNames") or {}, data.get("ExpressionAttributeValues") or {}
        tokens = self._dynamodb._tokenize(data.get("KeyConditionExpression") or "")
        for clause in self._dynamodb._key_condition_clauses(tokens):
            kinds, texts = [token[0] for token in clause], [token[1] for token in clause]
            if not texts or names.get(texts[0], texts[0]) != ranges[0]:
                continue
            operator = texts[1].upper() if kinds[1:2] == ["IDENT"] else "".join(kinds[1:2])
            operands = [text for kind, text in zip(kinds, texts, strict=True) if kind == "VALUE_REF"]
            if operator in ("EQ", "LT", "LE", "GT", "GE", "BETWEEN") and all(text in values for text in operands):
                kind = self._dynamodb._get_attr_type(table, ranges[0])
                return Bounds(operator, tuple(self._dynamodb._sort_key_value(values[text], kind) for text in operands))
        return Bounds()
