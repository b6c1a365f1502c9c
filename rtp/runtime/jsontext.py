"""Exact JSON: numbers keep their value; values that another parser or DynamoDB could misread are refused.

Fractions become Decimal, never float. Refused: NaN and infinities, numbers of more than 38 digits or outside
1E-130..1E+126, duplicate keys, lone surrogates, and nesting deeper than MAX_LEVELS.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime.wire import MAX_DIGITS, MAX_LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_EXPONENT, _MIN_EXPONENT = 125, -130
_MAX_PROBLEMS = 20
_BYTE_ORDER_MARK = "\ufeff"  # RFC 8259: not to be written before JSON, and may be ignored


class Problem(NamedTuple):
    """One thing wrong with a value; path is rooted at `$`, as in `$.data.items[3]`."""

    path: str
    message: str


class JsonError(ValueError):
    """Not JSON that rtp accepts. `problems` has each path; `value` is as much as could be read."""

    def __init__(self, *problems: Problem, value: Any = None) -> None:
        super().__init__("; ".join(f"{p.path}: {p.message}" for p in problems))
        self.problems = problems
        self.value = value.value if isinstance(value, _Refused) else value


def loads(text: str | bytes) -> Any:
    """Return the exact value of a JSON text. Raises JsonError with the paths of the first 20 problems."""
    text = _decoded(text)
    refused: list[str] = []
    try:
        value = _Decoder(refused).decode(text)
    except RecursionError:
        raise JsonError(Problem("$", f"nested deeper than {MAX_LEVELS} levels")) from None
    except json.JSONDecodeError as error:
        raise JsonError(Problem("$", f"not JSON: {error.msg} at line {error.lineno} column {error.colno}")) from None
    # The text shows whether the tree can have a problem; nearly no event needs the walk.
    if refused or text.count("{") + text.count("[") > MAX_LEVELS or "\\u" in text:
        problems = [problem for problem, _ in zip(_problems(value, "$", 1), range(_MAX_PROBLEMS), strict=False)]
        if problems:
            raise JsonError(*problems, value=value)
    return value


def dumps(value: Any) -> str:
    """Return compact JSON text of a value that `loads` or `exact` returned, with every digit of a Decimal."""
    try:
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_float_of_same_text
        )
    except _InexactError:
        return "".join(_written(value))


def exact(value: Any, path: str = "$") -> Any:
    """Convert a Python value as if by `loads`. Floats become Decimals of the same digits. Raises JsonError."""
    try:
        converted = _exact(value)
    except RecursionError:
        raise JsonError(Problem(path, f"nested deeper than {MAX_LEVELS} levels")) from None
    problems = [problem for problem, _ in zip(_problems(converted, path, 1), range(_MAX_PROBLEMS), strict=False)]
    if problems:
        raise JsonError(*problems)
    return converted


def copied(value: Any) -> Any:
    """Copy a value that `loads` returned; what is done to the copy does not change the value."""
    if type(value) is dict:
        return {key: copied(item) if type(item) in (dict, list) else item for key, item in value.items()}
    if type(value) is list:
        return [copied(item) if type(item) in (dict, list) else item for item in value]
    return value


def child(path: str, key: str) -> str:
    """Return the path of a member: `.key` for an identifier, `["any key"]` otherwise."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"


def encodable(text: str) -> bool:
    """Whether the text is valid Unicode: without lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Refused(NamedTuple):
    """Takes the place of a refused value in the tree until its path is known."""

    message: str
    value: Any = None


class _InexactError(Exception):
    pass


class _Decoder(json.JSONDecoder):
    """Appends to `refused` the reason of each refused value, so that the tree of a valid text is not walked."""

    def __init__(self, refused: list[str]) -> None:
        def refuse(message: str, value: Any = None) -> _Refused:
            refused.append(message)
            return _Refused(message, value)

        def integer(text: str) -> Any:
            return int(text) if len(text) <= MAX_DIGITS else _wide(text, refuse)

        def fraction(text: str) -> Any:
            return _wide(text, refuse)

        def constant(text: str) -> Any:
            return refuse(f"{text} is not a JSON number")

        def pairs(members: list[tuple[str, Any]]) -> Any:
            value = dict(members)
            return value if len(value) == len(members) else refuse(f"duplicate key {_duplicate(members)}", value)

        super().__init__(parse_int=integer, parse_float=fraction, parse_constant=constant, object_pairs_hook=pairs)


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        if not text.isascii() and not encodable(text):
            raise JsonError(Problem("$", "contains a lone surrogate, which is not Unicode text"))
        return text.removeprefix(_BYTE_ORDER_MARK)
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError(Problem("$", f"not UTF-8 text: byte {error.start} cannot be decoded")) from None


def _wide(text: str, refuse: Any) -> Any:
    try:
        number = Decimal(text)
    except ArithmeticError:  # an exponent beyond Decimal's own range
        return refuse("the number is out of range: 1E-130 to 1E+126")
    if complaint := _complaint(number):
        return refuse(complaint)
    return number


def _complaint(number: Decimal) -> str:
    """Return why DynamoDB could not store this number exactly; empty if it can."""
    if not number.is_finite():
        return "NaN and infinity are not JSON numbers"
    if not number:
        return ""
    digits = number.as_tuple().digits
    significant = len(bytes(digits).rstrip(b"\0"))
    if significant > MAX_DIGITS:
        return f"the number has {significant} digits; the limit is {MAX_DIGITS}"
    if not _MIN_EXPONENT <= number.adjusted() <= _MAX_EXPONENT:
        return "the number is out of range: 1E-130 to 1E+126"
    return ""


def _duplicate(members: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for key, _ in members:
        if key in seen:
            return json.dumps(key[:64])
        seen.add(key)
    return ""


def _exact(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (str, bool, Decimal, int):
        return value
    if isinstance(value, float):
        return (
            Decimal(repr(float(value))) if math.isfinite(value) else _Refused("NaN and infinity are not JSON numbers")
        )
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(item) for item in value]
    for base in (str, bool, int, Decimal):  # enums and other subclasses
        if isinstance(value, base):
            return base(value)
    return _Refused(f"{kind.__name__} is not JSON")


def _problems(value: Any, path: str, depth: int) -> Iterator[Problem]:
    if isinstance(value, _Refused):
        yield Problem(path, value.message)
        value = value.value
    if isinstance(value, str):
        if not encodable(value):
            yield Problem(path, "contains a lone surrogate, which is not Unicode text")
    elif isinstance(value, Decimal) or (isinstance(value, int) and abs(value) >= 10**MAX_DIGITS):
        if complaint := _complaint(Decimal(value)):
            yield Problem(path, complaint)
    elif isinstance(value, (dict, list)):
        if depth > MAX_LEVELS:
            yield Problem(path, f"nested deeper than {MAX_LEVELS} levels")
            return
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in members:
            if isinstance(value, list):
                yield from _problems(item, f"{path}[{key}]", depth + 1)
            elif not isinstance(key, str):
                yield Problem(path, f"the key {key!r} is not a string")
            elif not encodable(key):
                yield Problem(path, "a key contains a lone surrogate, which is not Unicode text")
            else:
                yield from _problems(item, child(path, key), depth + 1)


def _float_of_same_text(value: Any) -> float | int:
    if isinstance(value, Decimal):
        near = float(value)
        if Decimal(repr(near)) == value:
            return near
        raise _InexactError
    raise TypeError(f"{type(value).__name__} is not JSON")


def _written(value: Any) -> Iterator[str]:
    """Write values with a number that no float equals, slower than the json module."""
    if isinstance(value, Decimal):
        yield str(value)
    elif isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            yield "," if number else "{"
            yield json.dumps(key, ensure_ascii=False)
            yield ":"
            yield from _written(item)
        yield "}" if value else "{}"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield "," if number else "["
            yield from _written(item)
        yield "]" if value else "[]"
    else:
        yield json.dumps(value, ensure_ascii=False, allow_nan=False)
