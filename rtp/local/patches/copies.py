"""DynamoDB's items are copied as the JSON that they are.

Without this, each update copies its item twice by `copy.deepcopy`, which looks for shared and cyclic parts that no item
has: almost a quarter of what a batch of the worker's updates costs.
"""

from __future__ import annotations

import copy
import types
from typing import Any

from rtp.local.patches import require

_PLAIN = (str, int, float, bool, type(None), bytes)


def apply() -> None:
    """Put it in."""
    from ministack.services import dynamodb

    require(dynamodb, "copy")
    vars(dynamodb)["copy"] = types.SimpleNamespace(deepcopy=copied)


def copied(value: Any) -> Any:
    """A deep copy of JSON; of anything else, what copy.deepcopy makes of it."""
    kind = type(value)
    if kind is dict:
        return {key: copied(inner) for key, inner in value.items()}
    if kind is list:
        return [copied(inner) for inner in value]
    return value if kind in _PLAIN else copy.deepcopy(value)
