"""DynamoDB keeps its items as JSON text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rtp.local.items import Items
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core.responses import AccountRegionScopedDict
    from ministack.services import dynamodb

    require(dynamodb, "_extract_key_val", "_remove_item", "_tables", "_ttl_reaper", "_ttl_settings")

    def set_item(table: dict[str, Any], pk_val: Any, sk_val: Any, item: dict[str, Any]) -> Any:
        if not isinstance(table["items"], Items):
            table["items"] = Items(table["items"])
        return set_one(table, pk_val, sk_val, item)

    class Settings(AccountRegionScopedDict):  # type: ignore[misc]  # of an untyped package
        """Settings of tables. The thread that deletes what has expired reads all, and is left nothing to do."""

        __slots__ = ()

        def all_items(self) -> list[Any]:
            """None, because what has expired is deleted here."""
            for scope, setting in super().all_items():
                if setting.get("TimeToLiveStatus") == "ENABLED" and setting.get("AttributeName"):
                    expire(dynamodb, dynamodb._tables.get_scoped(*scope), setting["AttributeName"], time.time())
            return []

    set_one = replace(dynamodb, "_set_item", set_item, "table pk_val sk_val item")
    settings = Settings()
    settings._data.update(dynamodb._ttl_settings._data)
    vars(dynamodb)["_ttl_settings"] = settings


PATCH = Patch(
    name="stored_items",
    aws="-",
    engine=(
        "An item is some forty Python objects, five times the memory of its JSON, which every save encodes and every "
        "start decodes. Each minute the whole of a table with a time to live is read."
    ),
    test="tests/unit/local/test_items.py::test_random_operations_answer_as_dicts_do",
    install=install,
    kind="speed",
)


def expire(dynamodb: Any, table: dict[str, Any] | None, attribute: str, now: float) -> None:
    """Delete the items of a table whose time to live has passed, as MiniStack does each minute."""
    if not table:
        return
    if not isinstance(table["items"], Items):
        table["items"] = Items(table["items"])
    for pk, sk, item in table["items"].with_name(attribute):
        if attribute in item and _seconds(dynamodb._extract_key_val(item[attribute])) <= now:
            dynamodb._remove_item(table, pk, sk)


def _seconds(value: Any) -> float:
    """A time, epoch s; never reached if the value is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("inf")
