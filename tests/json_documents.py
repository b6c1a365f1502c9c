"""Whether what a command printed under --json has the shape that docs/json.md promises."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from docs import shapes
from docs.json_reference import PRINTED
from rtp.terminal.documents import VERSION, ErrorDocument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SCALARS: dict[Any, tuple[type, ...]] = {
    str: (str,),
    Path: (str,),
    datetime: (str,),
    bool: (bool,),
    int: (int,),
    float: (int, float, Decimal),
    Decimal: (int, float, Decimal),
    type(None): (type(None),),
}


def check(args: Sequence[str], stdout: str) -> None:
    """Fail where a command's stdout is not what the page says. Skips runs without --json, and those with --query."""
    words = [each for each in args if not each.startswith("-")]
    name = next((each for each in (" ".join(words[:2]), *words[:1]) if each in PRINTED), None)
    as_json = "--json" in args or "json" in [args[n + 1] for n, each in enumerate(args[:-1]) if each == "--format"]
    queried = any(each.split("=")[0] == "--query" for each in args)
    if name is None or not as_json or queried or "--stdout" in args or not stdout:
        return
    wrong = list(problems_of(name, stdout))
    assert not wrong, f"rtp {' '.join(args)} printed what docs/json.md does not say: {wrong[:5]}"


def problems_of(name: str, stdout: str) -> Iterator[str]:
    """What is wrong with all that a command printed."""
    printed = PRINTED[name]
    texts = stdout.splitlines() if printed.lines else [stdout]
    for text in texts:
        value = json.loads(text)
        if list(value)[:1] != ["version"] or value.pop("version") != VERSION:
            yield f"{text[:60]}: does not begin with the version"
        if set(value) == {"error"} and isinstance(value["error"], dict) and "code" in value["error"]:
            yield from problems(ErrorDocument, value)
        elif printed.lines and "type" in value and value["type"] in printed.lines:
            hint = printed.lines[value.pop("type")]
            yield from problems(hint, value)
        else:
            each = [list(problems(hint, value)) for hint in printed.documents]
            yield from min(each, key=len, default=[f"{text[:60]}: a line of no known type"])


def problems(hint: Any, value: Any, path: str = "$") -> Iterator[str]:
    """Where a JSON value is not of a type."""
    if hint in (Any, object):
        return
    if isinstance(hint, type) and issubclass(hint, str) and not issubclass(hint, Enum):
        hint = str
    if hint in _SCALARS:
        if not isinstance(value, _SCALARS[hint]) or (isinstance(value, bool) and hint is not bool):
            yield f"{path}: {value!r} is not {hint.__name__}"
    elif shapes.is_union(hint):
        each = [list(problems(one, value, path)) for one in get_args(hint)]
        yield from min(each, key=len)
    elif get_origin(hint) is Literal or (isinstance(hint, type) and issubclass(hint, Enum)):
        allowed = get_args(hint) or [member.value for member in hint]
        if value not in allowed:
            yield f"{path}: {value!r} is not one of {allowed}"
    elif shapes.is_array(hint):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is not an array"
            return
        for index, item in enumerate(value):
            yield from problems(get_args(hint)[0], item, f"{path}[{index}]")
    elif not isinstance(value, dict):
        yield f"{path}: {value!r} is not an object"
    elif shapes.is_map(hint):
        for key, item in value.items():
            yield from problems(get_args(hint)[1], item, f"{path}.{key}")
    else:
        assert dataclasses.is_dataclass(hint), hint
        yield from _object(hint, value, path)


def _object(kind: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    fields = {each.name: each for each in shapes.fields(kind)}
    yield from (f"{path}.{name}: not a field of {kind.__name__}" for name in value if name not in fields)
    for name, each in fields.items():
        if name in value:
            yield from problems(each.hint, value[name], f"{path}.{name}")
        elif not each.is_optional:
            yield f"{path}.{name}: missing"
