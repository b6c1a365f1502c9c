"""JSON values as DynamoDB attributes. Numbers are sent as decimal text, so none is rounded."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

MAX_NATIVE_DEPTH = 28  # DynamoDB nests 32 levels; the attribute itself and the list of attempts use some of them
MAX_KEY_BYTES = 65_535
MAX_ITEM_BYTES = 400 * 1024


class NotNativeError(ValueError):
    """DynamoDB cannot store the value as an attribute; S3 can, as JSON text."""


def pack(value: Any, max_bytes: int = MAX_ITEM_BYTES) -> dict[str, Any]:
    """Convert exact JSON to an attribute value.

    Raises NotNativeError for values that DynamoDB does not allow, or of more than max_bytes by `size`. It is raised
    before the rest is converted, which takes many times the value's own memory.
    """
    return _Packing(max_bytes).pack(value, 0)


class _Packing:
    """The conversion of one value. left: bytes that its rest may have."""

    def __init__(self, left: int) -> None:
        self._left = left

    def pack(self, value: Any, depth: int) -> dict[str, Any]:
        if isinstance(value, str):
            return self._scalar({"S": value})
        if value is None:
            return self._scalar({"NULL": True})
        if isinstance(value, bool):
            return self._scalar({"BOOL": value})
        if isinstance(value, (int, Decimal)):
            return self._scalar({"N": number(value)})
        if depth >= MAX_NATIVE_DEPTH:
            raise NotNativeError("nested too deep")
        self._take(3)
        if isinstance(value, dict):
            return {"M": {self._key(key): self.pack(item, depth + 1) for key, item in value.items()}}
        self._take(len(value))
        return {"L": [self.pack(item, depth + 1) for item in value]}

    def _scalar(self, attribute: dict[str, Any]) -> dict[str, Any]:
        self._take(size(attribute))
        return attribute

    def _key(self, key: str) -> str:
        bytes_of_key = len(key.encode())
        if not 0 < bytes_of_key <= MAX_KEY_BYTES:
            raise NotNativeError("a key is empty or too long")
        self._take(1 + bytes_of_key)
        return key

    def _take(self, bytes_taken: int) -> None:
        self._left -= bytes_taken
        if self._left < 0:
            raise NotNativeError("too large")


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
