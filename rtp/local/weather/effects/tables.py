"""DynamoDB tables take their time to be created, updated and deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.weather.call import Call, Response


@dataclass(frozen=True, slots=True)
class _Change:
    """A change under way. until: in seconds since 1970. created: names of the indexes that it adds."""

    state: str
    until: float
    table: dict[str, Any]
    created: tuple[str, ...] = ()

    def shown(self, table: dict[str, Any]) -> dict[str, Any]:
        """The table's description while it changes."""
        changed = {**table, "TableStatus": self.state}
        if self.created:
            changed["GlobalSecondaryIndexes"] = [
                {**index, "IndexStatus": "CREATING"} if index["IndexName"] in self.created else index
                for index in table.get("GlobalSecondaryIndexes", ())
            ]
        return changed


_STATES = {"CreateTable": "CREATING", "UpdateTable": "UPDATING", "DeleteTable": "DELETING"}
_UNAFFECTED = ("DescribeTable", "ListTables")
_IN_USE = "Attempt to change a resource which is still in use: Table is being {}: {}"
_ABSENT = "Requested resource not found"


class TableStates(Effect):
    """A table refuses changes while it changes, and has no items to read before it is created."""

    name = "table-states"
    summary = (
        f"A table is CREATING, UPDATING or DELETING for a while ({delays.TABLE}), a new index CREATING; changes "
        "meanwhile are refused with ResourceInUseException."
    )
    source = "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html"

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._changing: dict[str, _Change] = {}

    async def before(self, call: Call) -> Response | None:
        """Refuse what a table in its state does not accept."""
        if call.service != "dynamodb" or "TableName" not in call.params or call.operation == "ListTables":
            return None
        change = self._change(call)
        if change is None:
            return None
        if call.operation in _STATES:
            return call.error("ResourceInUseException", _IN_USE.format(change.state.lower(), _name(call)))
        if change.state == "DELETING" and call.operation == "DescribeTable":
            return call.answer({"Table": change.shown(change.table)})
        if change.state in ("CREATING", "DELETING") and call.operation not in _UNAFFECTED:
            return call.error("ResourceNotFoundException", _ABSENT)
        return None

    async def after(self, call: Call, response: Response) -> Response:
        """The state in between, for as long as the change takes."""
        if not response.ok or not call.named("dynamodb", *_STATES, "DescribeTable"):
            return response
        key = "Table" if call.operation == "DescribeTable" else "TableDescription"
        table = response.document.get(key)
        if table is None:
            return response
        if call.operation in _STATES:
            updates = call.params.get("GlobalSecondaryIndexUpdates", ())
            created = tuple(update["Create"]["IndexName"] for update in updates if "Create" in update)
            until = self.now() + delays.TABLE.draw(self.random)
            self._changing[_name(call)] = _Change(_STATES[call.operation], until, table, created)
        change = self._change(call)
        return response if change is None else response.with_document({**response.document, key: change.shown(table)})

    def _change(self, call: Call) -> _Change | None:
        """The change of a table that is under way."""
        change = self._changing.get(_name(call))
        if change is not None and self.now() >= change.until:
            del self._changing[_name(call)]
            return None
        return change


def _name(call: Call) -> str:
    return str(call.params["TableName"]).rpartition("/")[2]
