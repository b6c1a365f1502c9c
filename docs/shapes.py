"""The shape of a JSON document, out of the type it is made from: fields, types, units, meanings."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import types
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from rtp.text.json_values import Omitted, json_fields

TIME = "ISO 8601, UTC"
_UNITS = {"_ms": "ms", "_s": "s", "_mb": "MB"}
_SCALARS: dict[Any, str] = {
    str: "string",
    Path: "string",
    datetime: "string",
    bool: "true or false",
    int: "integer",
    float: "number",
    Decimal: "number",
    type(None): "null",
    Any: "any",
    object: "any",
}

# Meanings of fields that have one meaning in every type; a type's own docstring goes first.
COMMON = {
    "account": "AWS account",
    "endpoints": "URLs by name",
    "env": "name of the environment",
    "error": "type and message of the failure; empty where there was none",
    "event_id": "the event's id",
    "event_type": "the event's type",
    "id": "the event's id",
    "logical_id": "logical id of the resource in the template",
    "message": "its text",
    "message_id": "id of the SQS message",
    "name": "its name",
    "path": "construct path below the stack; empty where it is not known",
    "physical_id": "physical id of the resource",
    "reason": "why, as AWS says it; empty where it gives no reason",
    "region": "AWS region",
    "request_id": "id of the function's request",
    "resource_type": "CloudFormation type of the resource",
    "run": "name of the run, for `rtp dlq undo --run`; null for a dry run",
    "stack": "name of the stack",
    "timestamp": "the event's timestamp, epoch ms",
    "trace_id": "id of the X-Ray trace; empty or null where it is not known",
    "type": "the event's type",
}


class Field(NamedTuple):
    """One field of an object. hint: its type. is_optional: some documents do not have it."""

    name: str
    hint: Any
    is_optional: bool
    unit: str
    meaning: str


@cache
def fields(kind: type) -> tuple[Field, ...]:
    """The fields that a dataclass has in JSON, in order."""
    hints = get_type_hints(kind, _names(kind.__module__))
    meanings = _meanings(kind)[1]
    return tuple(_field(name, hints[name], meanings.get(name) or COMMON.get(name, "")) for name in json_fields(kind))


def summary(kind: type) -> str:
    """What a dataclass is, without what its docstring says of single fields."""
    return _meanings(kind)[0]


def label(hint: Any, name_of: Mapping[type, str]) -> str:
    """A type in words. name_of: how each dataclass is called on the page."""
    if hint in _SCALARS:
        return _SCALARS[hint]
    arguments = get_args(hint)
    if is_union(hint):
        return " or ".join(label(each, name_of) for each in arguments)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if is_array(hint):
        return f"array of {label(arguments[0], name_of)}"
    if is_map(hint):
        return "object" if arguments[1] is Any else f"object, each value {label(arguments[1], name_of)}"
    if issubclass(hint, Enum):
        return ", ".join(f"`{member.value}`" for member in hint)
    return "string" if issubclass(hint, str) else name_of[hint]


def dataclasses_in(hint: Any) -> list[type]:
    """The dataclasses that a type is made of, itself first, each once."""
    seen: dict[type, None] = {}

    def visit(each: Any) -> None:
        if dataclasses.is_dataclass(each) and isinstance(each, type):
            if each not in seen:
                seen[each] = None
                for field in fields(each):
                    visit(field.hint)
            return
        for argument in get_args(each) if get_origin(each) is not Literal else ():
            visit(argument)

    visit(hint)
    return list(seen)


def is_union(hint: Any) -> bool:
    """Whether it is one of several types."""
    return get_origin(hint) in (Union, types.UnionType)


def is_array(hint: Any) -> bool:
    """Whether it is an array in JSON."""
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Sequence | Set)


def is_map(hint: Any) -> bool:
    """Whether it is an object whose names are data."""
    origin = get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _field(name: str, hint: Any, meaning: str) -> Field:
    is_optional = is_union(hint) and Omitted in get_args(hint)
    if is_optional:
        hint = Union[tuple(each for each in get_args(hint) if each is not Omitted)]  # noqa: UP007 (a tuple)
    return Field(name, hint, is_optional, _unit(name, hint, meaning), meaning)


def _unit(name: str, hint: Any, meaning: str) -> str:
    if datetime in (hint, *get_args(hint)) or "ISO 8601" in meaning:
        return TIME
    if "epoch ms" in meaning:
        return "epoch ms"
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


@cache
def _meanings(kind: type) -> tuple[str, dict[str, str]]:
    """The docstring's summary, and what follows `name:` or `name, name:` in it, by name."""
    text = " ".join((kind.__doc__ or "").split())
    name = "(?:" + "|".join(re.escape(each.name) for each in dataclasses.fields(kind)) + ")"
    first, *rest = re.split(rf"(?:^|(?<=[.;]) )({name}(?:, {name})*): ", text)
    meanings: dict[str, str] = {}
    for names, meaning in zip(rest[::2], rest[1::2], strict=True):
        meanings |= dict.fromkeys(names.split(", "), meaning.rstrip(" .;"))
    return first.strip(), meanings


@cache
def _names(module: str) -> dict[str, Any]:
    """A module's names, and those that it imports for type checkers alone."""
    names = dict(vars(sys.modules[module]))
    for block in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom):
                    source = importlib.import_module(statement.module or "")
                    names |= {alias.asname or alias.name: getattr(source, alias.name) for alias in statement.names}
    return names
