"""CloudWatch's filter patterns: terms, "phrases", -exclusions, ?alternatives, %regex% and { $.json = "tests" }.

No pattern is slow on any message: the engine serves all requests from one thread.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rtp.local.cursor import Cursor
from rtp.local.filter_regex import compile_regex

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[Any], bool]

MAX_LENGTH = 1024  # AWS's own limits: of a pattern, and of the regular expressions in one
MAX_REGEXES = 2
_TERM = re.compile(r'([-?]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]+)%|([^\s"]+))')
_JSON = re.compile(
    r"""\s*(?:(?P<path>\$(?:\.[\w@-]+|\[(?:\d+|"[^"]+")\])+)|(?P<op>&&|\|\||!=|<=|>=|[=<>()])|(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<regex>%[^%]+%)|(?P<word>[^\s()&|=<>!"]+))""",
    re.VERBOSE,
)


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A test of messages; an empty pattern matches every message. Raises ValueError."""
    pattern = pattern.strip()
    if not pattern:
        return lambda _message: True
    if len(pattern) > MAX_LENGTH:
        raise _invalid(f"it is longer than {MAX_LENGTH} characters")
    if pattern.startswith("{"):
        if not pattern.endswith("}"):
            raise _invalid("the brace is not closed")
        test = _JsonParser(pattern[1:-1]).parse()
        return lambda message: (body := _object(message)) is not None and test(body)
    return _terms(pattern)


def _invalid(reason: str) -> ValueError:
    return ValueError(f"Invalid filter pattern: {reason}")


def _terms(pattern: str) -> Callable[[str], bool]:
    required: list[Test] = []
    excluded: list[Test] = []
    alternatives: list[Test] = []
    terms = _TERM.findall(pattern)
    _check_regexes(sum(bool(regex) for _, _, regex, _ in terms))
    for sign, phrase, regex, word in terms:
        text = re.sub(r"\\(.)", r"\1", phrase) if phrase else word
        test = _searcher(regex) if regex else _container(text)
        {"-": excluded, "?": alternatives}.get(sign, required).append(test)
    return lambda message: (
        all(test(message) for test in required)
        and not any(test(message) for test in excluded)
        and (not alternatives or any(test(message) for test in alternatives))
    )


def _container(text: str) -> Test:
    return lambda message: text in message


def _searcher(regex: str) -> Test:
    matches = compile_regex(regex)
    return lambda message: isinstance(message, str) and matches(message)


def _check_regexes(count: int) -> None:
    if count > MAX_REGEXES:
        raise _invalid(f"it has more than {MAX_REGEXES} regular expressions")


def _object(message: str) -> Any:
    if not message.lstrip().startswith("{"):
        return None
    try:
        return json.loads(message)
    except (ValueError, RecursionError):  # nested deeper than Python reads it
        return None


class _JsonParser:
    def __init__(self, text: str) -> None:
        self._cursor = Cursor(text, _JSON, _invalid)
        _check_regexes(sum(token.kind == "regex" for token in self._cursor.rest()))

    def parse(self) -> Test:
        test = self._any()
        self._cursor.end()
        return test

    def _any(self) -> Test:
        tests = self._cursor.joined(self._all, "||")
        return lambda body: any(test(body) for test in tests)

    def _all(self) -> Test:
        tests = self._cursor.joined(self._one, "&&")
        return lambda body: all(test(body) for test in tests)

    def _one(self) -> Test:
        if self._cursor.take("("):
            with self._cursor.nested():
                test = self._any()
            self._cursor.expect(")")
            return test
        kind, path, _ = self._cursor.next()
        if kind != "path":
            self._cursor.fail(f"{path!r} is not a selector")
        steps = [name or int(number) for name, number in re.findall(r"\.([\w@-]+)|\[(\d+)\]", path)]
        operator = self._cursor.next().text
        kind, value, _ = self._cursor.next()
        if operator.upper() in ("IS", "NOT"):
            return self._state(steps, operator.upper(), value.upper())
        return _comparison(steps, operator, kind, value)

    @staticmethod
    def _state(steps: list[str | int], operator: str, value: str) -> Test:
        if operator == "NOT" and value == "EXISTS":
            return lambda body: _at(body, steps) is _MISSING
        states = {"TRUE": True, "FALSE": False, "NULL": None}
        if operator != "IS" or value not in states:
            raise _invalid(f"{operator} {value}")
        return lambda body: _at(body, steps) is states[value]


_MISSING = object()


def _at(body: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            container = list if isinstance(step, int) else dict
            body = body[step] if isinstance(body, container) else _MISSING  # type: ignore[index]
        except LookupError:
            return _MISSING
    return body


def _comparison(steps: list[str | int], operator: str, kind: str, text: str) -> Test:
    if operator in ("=", "!="):
        is_equal = _equality(kind, text)
        if operator == "=":
            return lambda body: (value := _at(body, steps)) is not _MISSING and is_equal(value)
        return lambda body: (value := _at(body, steps)) is not _MISSING and not is_equal(value)
    if operator not in ("<", "<=", ">", ">="):
        raise _invalid(f"{operator!r} is not an operator")
    limit = float(text)
    tests: dict[str, Callable[[float], bool]] = {
        "<": lambda value: value < limit,
        "<=": lambda value: value <= limit,
        ">": lambda value: value > limit,
        ">=": lambda value: value >= limit,
    }
    test = tests[operator]
    return lambda body: _is_number(value := _at(body, steps)) and test(value)


def _equality(kind: str, text: str) -> Test:
    if kind == "regex":
        return _searcher(text[1:-1])
    expected = re.sub(r"\\(.)", r"\1", text[1:-1]) if kind == "string" else text
    if kind == "word":
        try:
            number = float(text)
        except ValueError:
            pass
        else:
            return lambda value: _is_number(value) and float(value) == number
    if "*" in expected:
        pattern = re.sub(r"([\[?])", r"[\1]", expected)
        return lambda value: isinstance(value, str) and fnmatchcase(value, pattern)
    return lambda value: isinstance(value, str) and value == expected


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
