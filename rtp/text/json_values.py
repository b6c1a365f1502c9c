"""JSON of values: exact numbers; dataclasses become objects of their fields, without the hidden ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.runtime import characters
from rtp.text import times

if TYPE_CHECKING:
    import simplejson

HIDDEN: Mapping[str, str] = {"json": "hidden"}
"""Metadata of a dataclass field that is not part of the JSON: `field(metadata=HIDDEN)`."""


class Omitted(Enum):
    """Type of a field that some documents do not have: `line: int | Omitted = OMITTED`."""

    OMITTED = "omitted"


OMITTED = Omitted.OMITTED
_DEPTH = 200  # levels; a record has 32 at most, and an event a few more
_TOO_DEEP = f"it is nested more deeply than {_DEPTH} levels"
_SIMPLE = frozenset({str, int, float, bool, type(None), Decimal})


def to_json_types(value: Any) -> Any:
    """Convert to JSON types and Decimal: dataclasses to objects, paths and enums to text, sets and tuples to arrays."""
    kind = type(value)
    if kind in _SIMPLE:  # most values are, and streams have many
        return value
    if kind is dict:
        return {
            k if type(k) is str else str(k): v if type(v) in _SIMPLE else to_json_types(v) for k, v in value.items()
        }
    if kind is list:
        return [to_json_types(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float | bool | Decimal):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        values = ((name, getattr(value, name)) for name in json_fields(value.__class__))
        return {name: v if type(v) in _SIMPLE else to_json_types(v) for name, v in values if v is not OMITTED}
    if isinstance(value, Mapping):
        return {str(k): to_json_types(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json_types(v) for v in value]
    if isinstance(value, datetime):
        return times.iso(value.timestamp() * 1000)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


@cache
def json_fields(kind: type) -> tuple[str, ...]:
    """Return the names of a dataclass's fields that are part of its JSON, in order."""
    return tuple(f.name for f in dataclasses.fields(kind) if f.metadata.get("json") != "hidden")


@cache
def _encoder(indent: int | None) -> simplejson.JSONEncoder:
    import simplejson

    return simplejson.JSONEncoder(use_decimal=True, ensure_ascii=False, indent=indent)


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Write JSON text, Decimals digit by digit and never through a float.

    Characters that are not to be shown as they are (rtp/runtime/characters.py) are escaped.
    JSON has them only within strings, so nothing is lost. Other text stays as it is.
    """
    return encode(to_json_types(value), indent=indent)


def encode(value: Any, *, indent: int | None = None) -> str:
    """As `dumps`, for a value that `to_json_types` returned."""
    text: str = _encoder(indent).encode(value)
    return characters.replaced(text, escape)


def escape(character: str) -> str:
    """Escape a character for JSON, as a surrogate pair where it needs two."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def loads(text: str | bytes, *, unique: bool = False) -> Any:
    """Read JSON, after a byte order mark too, with fractions as Decimal to be written unchanged.

    unique: refuse an object that has a name twice, of which the last one counts otherwise.
    Raises ValueError, also for what is nested more deeply than `dumps` can write.
    """
    import simplejson

    plain = text.removeprefix("\ufeff") if isinstance(text, str) else text.removeprefix(b"\xef\xbb\xbf")
    try:
        value = simplejson.loads(plain, use_decimal=True, object_pairs_hook=_unique if unique else None)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if is_too_deep(plain, value):
        raise ValueError(_TOO_DEEP)
    return value


def is_too_deep(text: str | bytes, value: Any) -> bool:
    """Whether the value of a JSON text is nested more deeply than `dumps` can write."""
    return _opened(text) > _DEPTH and _is_deeper(value, _DEPTH)


def _unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of these members. Raises ValueError where two have the same name."""
    value = dict(members)
    if len(value) == len(members):
        return value
    names = [name for name, _ in members]
    raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r:.80} is in one object twice")


def _opened(text: str | bytes) -> int:
    """The number of brackets in a text, above which its depth is measured."""
    return text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether objects and arrays are in each other on more levels."""
    level = [value]
    for _ in range(depth + 1):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        level = [each for each in inner if isinstance(each, dict | list)]
        if not level:
            return False
    return True
