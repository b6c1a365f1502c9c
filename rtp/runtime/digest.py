"""The digest of an event's type and data, by which two events with one identity are distinguished.

It is of what was parsed: the order of keys, white space and escapes do not count, and numbers count by their exact
value. A text that is not an event has the digest of the text.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class _InexactError(Exception):
    """No float equals the number."""


def of_event(type: str, data: Any) -> str:
    """Return the digest of an event's type and data, as `jsontext.loads` returned them."""
    value = [type, data]
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_same_number)
    except _InexactError:
        text = "".join(_written(value))
    return hashlib.sha256(text.encode()).hexdigest()


def of_text(text: str | bytes) -> str:
    """Return the digest of a text that is not an event."""
    content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return hashlib.sha256(b"\0" + content).hexdigest()


def _same_number(value: Any) -> int | float:
    """Return the int or float of the same value, whose text is the same for equal numbers."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not JSON")
    if value == value.to_integral_value():
        return int(value)
    near = float(value)
    if Decimal(repr(near)) != value:
        raise _InexactError
    return near


def _written(value: Any) -> Iterator[str]:
    """Write a value with a number that no float equals, slower than the json module."""
    if isinstance(value, Decimal):
        yield _plain(value)
    elif isinstance(value, dict):
        yield "{"
        for key in sorted(value):
            yield f"{json.dumps(key)}:"
            yield from _written(value[key])
            yield ","
        yield "}"
    elif isinstance(value, list):
        yield "["
        for item in value:
            yield from _written(item)
            yield ","
        yield "]"
    else:
        yield json.dumps(value)


def _plain(value: Decimal) -> str:
    """Return the number's digits without an exponent and without zeros at the end of a fraction."""
    if value == value.to_integral_value():
        return str(int(value))
    return f"{value:f}".rstrip("0")
