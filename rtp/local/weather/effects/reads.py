"""Reads of DynamoDB that are eventually consistent: for a moment they show what was there before a write."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.local.weather.call import Call, Response

_CHANCE = 0.5
_LAG_S = (0.2, 2.0)
_REMEMBERED = 5_000
_STATEMENTS = ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction")  # PartiQL
_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", *_STATEMENTS)

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Before:
    """An item before its last write; None if there was none. until: when reads show the new one."""

    item: Item | None
    until: float


class LaggingReads(Effect):
    """Index reads, and other reads without ConsistentRead, lag behind the writes by up to two seconds."""

    name = "lagging-reads"
    summary = "Index reads, and reads without ConsistentRead, do not show writes of the last 2 s."
    source = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html"

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._keys: dict[str, frozenset[str]] = {}
        self._before: OrderedDict[tuple[str, str], _Before] = OrderedDict()

    async def before(self, call: Call) -> Response | None:
        """Note the item before a write."""
        if not call.named("dynamodb", *_WRITES):
            return None
        for table, item in _written(call):
            names = await self._key_names(call, table)
            if not names or not names <= item.keys() or not self.happens(_CHANCE):
                continue
            key = {name: item[name] for name in names}
            response = await call.other("GetItem", TableName=table, Key=key, ConsistentRead=True)
            if response.ok:
                at = table, _text(key)
                self._before[at] = _Before(response.document.get("Item"), self.now() + self.random.uniform(*_LAG_S))
                self._before.move_to_end(at)
        while len(self._before) > _REMEMBERED:
            self._before.popitem(last=False)
        return None

    async def after(self, call: Call, response: Response) -> Response:
        """Show items as they were."""
        if not response.ok or call.params.get("ConsistentRead") or not call.named("dynamodb"):
            return response
        table = str(call.params.get("TableName", ""))
        if call.operation == "GetItem":
            before = self._lagging(table, _text(call.params["Key"]))
            if before is None:
                return response
            document = {k: v for k, v in response.document.items() if k != "Item"}
            return response.with_document(document | ({"Item": before.item} if before.item else {}))
        if call.operation == "BatchGetItem":
            return await self._batch_before(call, response)
        if call.operation not in ("Query", "Scan") or "Items" not in response.document:
            return response
        names = await self._key_names(call, table)
        shown = [self._as_before(table, names, item, response.document) for item in response.document["Items"]]
        items = [item for item in shown if item is not None]
        if items == response.document["Items"]:
            return response
        return response.with_document(response.document | {"Items": items, "Count": len(items)})

    async def _batch_before(self, call: Call, response: Response) -> Response:
        """The answer of BatchGetItem with items as they were, of the tables that are read without ConsistentRead."""
        shown: dict[str, list[Item]] = {}
        for table, items in (response.document.get("Responses") or {}).items():
            shown[table] = items
            if not call.params["RequestItems"].get(table, {}).get("ConsistentRead"):
                names = await self._key_names(call, table)
                before = [self._as_before(table, names, item, {}) for item in items]
                shown[table] = [item for item in before if item is not None]
        if shown == response.document.get("Responses"):
            return response
        return response.with_document(response.document | {"Responses": shown})

    def _as_before(self, table: str, names: frozenset[str], item: Item, document: Item) -> Item | None:
        """The item as a read shows it: None if it was not there yet, or not under this key of the index."""
        before = self._lagging(table, _text({name: item[name] for name in names if name in item}))
        if before is None:
            return item
        # A key of the index that has changed: the item is elsewhere in the index, which this read does not see.
        index_keys = set(document.get("LastEvaluatedKey") or ()) - names
        if before.item is None or any(before.item.get(name) != item.get(name) for name in index_keys):
            return None
        return {name: before.item.get(name, value) for name, value in item.items()}

    def _lagging(self, table: str, key: str) -> _Before | None:
        before = self._before.get((table, key))
        return before if before is not None and before.until > self.now() else None

    async def _key_names(self, call: Call, table: str) -> frozenset[str]:
        if table not in self._keys:
            response = await call.other("DescribeTable", TableName=table)
            if not response.ok:
                return frozenset()
            self._keys[table] = frozenset(key["AttributeName"] for key in response.document["Table"]["KeySchema"])
        return self._keys[table]


def _written(call: Call) -> Iterator[tuple[str, Item]]:
    """The tables and items, or keys, of a write."""
    params = call.params
    if call.operation == "TransactWriteItems":
        for action in params.get("TransactItems") or ():
            for step in action.values():
                yield step["TableName"], step.get("Item") or step.get("Key") or {}
    elif call.operation in _STATEMENTS:
        for statement in _statements(params):
            yield from _written_by(statement)
    elif call.operation == "BatchWriteItem":
        for table, requests in (params.get("RequestItems") or {}).items():
            for request in requests:
                for step in request.values():
                    yield table, step.get("Item") or step.get("Key") or {}
    else:
        yield params.get("TableName", ""), params.get("Item") or params.get("Key") or {}


def _statements(params: dict[str, Any]) -> list[dict[str, Any]]:
    """The PartiQL statements of a call, each with its parameters."""
    return [params] if "Statement" in params else params.get("Statements") or params.get("TransactStatements") or []


def _written_by(statement: dict[str, Any]) -> Iterator[tuple[str, Item]]:
    """The table and the item, or attributes with its key, of a PartiQL statement that writes."""
    from ministack.services import dynamodb

    try:
        parsed = dynamodb._parse_partiql(statement["Statement"], statement.get("Parameters") or [])
    except Exception:  # the engine answers a statement that is not valid
        return
    if parsed["op"] == "INSERT":
        yield parsed["table"], parsed["item"]
    elif parsed["op"] in ("UPDATE", "DELETE"):
        yield parsed["table"], {name: value for name, operator, value in parsed["conditions"] if operator == "="}


def _text(key: Item) -> str:
    return json.dumps(key, sort_keys=True)
