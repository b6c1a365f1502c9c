"""CloudWatch's filter patterns: terms, "phrases", -exclusions, ?alternatives, %regex% and { $.json = "tests" }.

No pattern takes long on any message: the engine serves everybody from one thread.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from rtp.local.filter_regex import compile_regex

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[Any], bool]

MAX_LENGTH = 1024  # AWS's own limits: of a pattern, and of the regular expressions in one
MAX_REGEXES = 2
_MAX_DEPTH = 50
_TERM = re.compile(r'([-?]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]+)%|([^\s"]+))')
_JSON = re.compile(
    r"""\s*(?:(?P<path>\$(?:\.[\w@-]+|\[(?:\d+|"[^"]+")\])+)|(?P<op>&&|\|\||!=|<=|>=|[=<>()])|(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<regex>%[^%]+%)|(?P<word>[^\s()&|=<>!"]+))""",
    re.VERBOSE,
)


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A test of messages; an empty pattern lets everything through. Raises ValueError."""
    pattern = pattern.strip()
    if not pattern:
        return lambda _message: True
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"Invalid filter pattern: it is longer than {MAX_LENGTH} characters")
    if pattern.startswith("{"):
        if not pattern.endswith("}"):
            raise ValueError("Invalid filter pattern: the brace is not closed")
        test = _JsonParser(pattern[1:-1]).parse()
        return lambda message: (body := _object(message)) is not None and test(body)
    return _terms(pattern)


def _terms(pattern: str) -> Callable[[str], bool]:
    wanted: list[Test] = []
    unwanted: list[Test] = []
    either: list[Test] = []
    terms = _TERM.findall(pattern)
    _check_regexes(sum(bool(regex) for _, _, regex, _ in terms))
    for sign, phrase, regex, word in terms:
        text = re.sub(r"\\(.)", r"\1", phrase) if phrase else word
        test = _searcher(regex) if regex else _container(text)
        (unwanted if sign == "-" else either if sign == "?" else wanted).append(test)
    return lambda message: (
        all(test(message) for test in wanted)
        and not any(test(message) for test in unwanted)
        and (not either or any(test(message) for test in either))
    )


def _container(text: str) -> Test:
    return lambda message: text in message


def _searcher(regex: str) -> Test:
    matches = compile_regex(regex)
    return lambda message: isinstance(message, str) and matches(message)


def _check_regexes(count: int) -> None:
    if count > MAX_REGEXES:
        raise ValueError(f"Invalid filter pattern: it has more than {MAX_REGEXES} regular expressions")


def _object(message: str) -> Any:
    if not message.lstrip().startswith("{"):
        return None
    try:
        return json.loads(message)
    except (ValueError, RecursionError):  # nested deeper than Python reads it
        return None


class _JsonParser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._at = self._depth = 0
        at, text = 0, text.strip()
        while at < len(text):
            match = _JSON.match(text, at)
            if match is None or match.lastgroup is None:
                raise ValueError(f"Invalid filter pattern: {text[at:]!r}")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()
        _check_regexes(sum(kind == "regex" for kind, _ in self._tokens))

    def parse(self) -> Test:
        test = self._any()
        if self._at < len(self._tokens):
            raise ValueError(f"Invalid filter pattern: unexpected {self._tokens[self._at][1]!r}")
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._take("||"):
            tests.append(self._all())
        return lambda body: any(test(body) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._take("&&"):
            tests.append(self._one())
        return lambda body: all(test(body) for test in tests)

    def _one(self) -> Test:
        if self._take("("):
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise ValueError("Invalid filter pattern: it is nested too deeply")
            test = self._any()
            self._depth -= 1
            if not self._take(")"):
                raise ValueError("Invalid filter pattern: a parenthesis is not closed")
            return test
        kind, path = self._next()
        if kind != "path":
            raise ValueError(f"Invalid filter pattern: {path!r} is not a selector")
        steps = [name or int(number) for name, number in re.findall(r"\.([\w@-]+)|\[(\d+)\]", path)]
        _, operator = self._next()
        kind, value = self._next()
        if operator.upper() in ("IS", "NOT"):
            return self._state(steps, operator.upper(), value.upper())
        return _comparison(steps, operator, kind, value)

    @staticmethod
    def _state(steps: list[str | int], operator: str, value: str) -> Test:
        if operator == "NOT" and value == "EXISTS":
            return lambda body: _at(body, steps) is _MISSING
        wanted = {"TRUE": True, "FALSE": False, "NULL": None}
        if operator != "IS" or value not in wanted:
            raise ValueError(f"Invalid filter pattern: {operator} {value}")
        return lambda body: _at(body, steps) is wanted[value]

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise ValueError("Invalid filter pattern: it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, op: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("op", op):
            self._at += 1
            return True
        return False


_MISSING = object()


def _at(body: Any, steps: list[str | int]) -> Any:
    for step in steps:
        try:
            holds = list if isinstance(step, int) else dict
            body = body[step] if isinstance(body, holds) else _MISSING  # type: ignore[index]
        except LookupError:
            return _MISSING
    return body


def _comparison(steps: list[str | int], operator: str, kind: str, text: str) -> Test:
    if operator in ("=", "!="):
        same = _equality(kind, text)
        if operator == "=":
            return lambda body: (found := _at(body, steps)) is not _MISSING and same(found)
        return lambda body: (found := _at(body, steps)) is not _MISSING and not same(found)
    if operator not in ("<", "<=", ">", ">="):
        raise ValueError(f"Invalid filter pattern: {operator!r} is not an operator")
    limit = float(text)
    tests: dict[str, Callable[[float], bool]] = {
        "<": lambda found: found < limit,
        "<=": lambda found: found <= limit,
        ">": lambda found: found > limit,
        ">=": lambda found: found >= limit,
    }
    test = tests[operator]
    return lambda body: _is_number(found := _at(body, steps)) and test(found)


def _equality(kind: str, text: str) -> Test:
    if kind == "regex":
        return _searcher(text[1:-1])
    wanted = re.sub(r"\\(.)", r"\1", text[1:-1]) if kind == "string" else text
    if kind == "word":
        try:
            number = float(text)
        except ValueError:
            pass
        else:
            return lambda found: _is_number(found) and float(found) == number
    if "*" in wanted:
        pattern = re.sub(r"([\[?])", r"[\1]", wanted)
        return lambda found: isinstance(found, str) and fnmatchcase(found, pattern)
    return lambda found: isinstance(found, str) and found == wanted


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)
