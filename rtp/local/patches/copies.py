"""DynamoDB's items are copied as the JSON that they are."""

from __future__ import annotations

import copy
import types
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_IMMUTABLE = (str, int, float, bool, type(None), bytes)


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import dynamodb

    require(dynamodb, "copy")
    vars(dynamodb)["copy"] = types.SimpleNamespace(deepcopy=copied)


PATCH = Patch(
    name="copies",
    aws="-",
    engine=(
        "Each update copies its item twice by `copy.deepcopy`, which looks for shared and cyclic parts that no "
        "item has: almost a quarter of what a batch of the worker's updates costs."
    ),
    test="tests/unit/local/test_copies.py::test_a_copy_is_equal_and_shares_nothing_that_can_change",
    install=install,
    kind="speed",
)


def copied(value: Any) -> Any:
    """A deep copy of JSON; of anything else, what copy.deepcopy makes of it."""
    kind = type(value)
    if kind is dict:
        return {key: copied(inner) for key, inner in value.items()}
    if kind is list:
        return [copied(inner) for inner in value]
    return value if kind in _IMMUTABLE else copy.deepcopy(value)
