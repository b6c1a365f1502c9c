"""Values as JSON: exact numbers, dataclasses as objects whose fields are the document's, but for the hidden ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import simplejson

from rtp.text import times
from rtp.text.sanitize import UNSAFE

HIDDEN: Mapping[str, str] = {"json": "hidden"}
"""Metadata of a dataclass field that has no place in JSON: `field(metadata=HIDDEN)`."""


class Omitted(Enum):
    """Type of a field that some documents do not have: `line: int | Omitted = OMITTED`."""

    OMITTED = "omitted"


OMITTED = Omitted.OMITTED
_SIMPLE = frozenset({str, int, float, bool, type(None), Decimal})


def plain(value: Any) -> Any:
    """JSON types and Decimal only: dataclasses become objects, paths and enums text, sets and tuples arrays."""
    kind = type(value)
    if kind in _SIMPLE:  # most values are, and streams have many
        return value
    if kind is dict:
        return {k if type(k) is str else str(k): v if type(v) in _SIMPLE else plain(v) for k, v in value.items()}
    if kind is list:
        return [plain(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float | bool | Decimal):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        values = ((name, getattr(value, name)) for name in json_fields(value.__class__))
        return {name: v if type(v) in _SIMPLE else plain(v) for name, v in values if v is not OMITTED}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, datetime):
        return times.iso(value.timestamp() * 1000)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


@cache
def json_fields(kind: type) -> tuple[str, ...]:
    """Names of the fields of a dataclass that are part of its JSON, in order."""
    return tuple(f.name for f in dataclasses.fields(kind) if f.metadata.get("json") != "hidden")


@cache
def _encoder(indent: int | None) -> simplejson.JSONEncoder:
    return simplejson.JSONEncoder(use_decimal=True, ensure_ascii=False, indent=indent)


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON text with Decimals written digit by digit, never through a float.

    What drives a terminal, ends a line to some readers, or no encoder takes (lone surrogates) is escaped; JSON has such
    characters within strings alone, so nothing is lost. Other text is written as it is.
    """
    return written(plain(value), indent=indent)


def written(value: Any, *, indent: int | None = None) -> str:
    """As `dumps`, of what `plain` has made."""
    text: str = _encoder(indent).encode(value)
    return UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def escaped(character: str) -> str:
    """A character as JSON escapes it, in a pair where it takes two."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def loads(text: str | bytes) -> Any:
    """JSON with fractions as Decimal, so that what is read can be written again unchanged. Raises ValueError."""
    return simplejson.loads(text, use_decimal=True)
