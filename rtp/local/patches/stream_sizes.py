"""The records of a table's stream have their size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_COUNTED = ("Keys", "NewImage", "OldImage")


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import dynamodb

    require(dynamodb, "_item_size_bytes")

    def build(
        table: dict[str, Any],
        event_name: str,
        old_item: dict[str, Any] | None,
        new_item: dict[str, Any] | None,
        view_type: str,
    ) -> dict[str, Any]:
        record: dict[str, Any] = build_one(table, event_name, old_item, new_item, view_type)
        change = record["dynamodb"]
        change["SizeBytes"] = sum(dynamodb._item_size_bytes(change[part]) for part in _COUNTED if part in change)
        return record

    build_one = replace(dynamodb, "_build_change_record", build, "table event_name old_item new_item view_type")


PATCH = Patch(
    name="stream_sizes",
    aws="SizeBytes of a stream's record is that of the key and of the images in it.",
    engine="SizeBytes is 0.",
    test="tests/local/engine/test_answers.py::test_the_engine_answers_as_aws_does",
    install=install,
)
