"""JSON values as DynamoDB attributes. Numbers are sent as decimal text, so none is rounded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

MAX_NATIVE_DEPTH = 28  # DynamoDB nests 32 levels; the attribute itself and the list of attempts use some of them
MAX_KEY_BYTES = 65_535


class NotNativeError(ValueError):
    """DynamoDB cannot store the value as an attribute; S3 can, as JSON text."""


def pack(value: Any, depth: int = 0) -> dict[str, Any]:
    """Convert exact JSON to an attribute value. Raises NotNativeError for values that DynamoDB does not allow."""
    if isinstance(value, str):
        return {"S": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, Decimal)):
        return {"N": number(value)}
    if depth >= MAX_NATIVE_DEPTH:
        raise NotNativeError("nested too deep")
    if isinstance(value, dict):
        for key in value:
            if not key or (len(key) > MAX_KEY_BYTES // 4 and len(key.encode()) > MAX_KEY_BYTES):
                raise NotNativeError("a key is empty or too long")
        return {"M": {key: pack(item, depth + 1) for key, item in value.items()}}
    return {"L": [pack(item, depth + 1) for item in value]}


def unpack(attribute: dict[str, Any]) -> Any:
    """Return the exact JSON value of an attribute; numbers are int if whole, else Decimal."""
    ((kind, value),) = attribute.items()
    if kind == "S":
        return value
    if kind == "N":
        return int(value) if value.lstrip("-").isdigit() else Decimal(value)
    if kind == "M":
        return {key: unpack(item) for key, item in value.items()}
    if kind == "L":
        return [unpack(item) for item in value]
    if kind == "BOOL":
        return value
    return None


def number(value: int | Decimal) -> str:
    """Return decimal text that DynamoDB stores unchanged."""
    return str(value) if value else "0"


def size(attribute: dict[str, Any]) -> int:
    """Return the bytes of the value within an item's 400 KB, by DynamoDB's rules or a little more."""
    ((kind, value),) = attribute.items()
    if kind == "S":
        return len(value.encode())
    if kind == "N":
        return min(21, len(value) // 2 + 2)
    if kind == "M":
        return 3 + sum(1 + len(key.encode()) + size(item) for key, item in value.items())
    if kind == "L":
        return 3 + sum(1 + size(item) for item in value)
    return 1
