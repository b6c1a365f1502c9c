"""X-Ray's filter expressions: `service("x") { fault } AND annotation.event_id = "7" AND responsetime > 2.5`.

As GetTraceSummaries says of HasError and HasFault, a bare `error` or `fault` is true when any segment has it.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from rtp.local.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.tracing.tree import Node, Trace

    Test = Callable[["Subject"], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w.\-]*)
    |(?P<op>!=|<=|>=|[=<>!(){}\[\],:]))""",
    re.VERBOSE,
)
_FLAGS = ("ok", "error", "fault", "throttle", "partial")
_NUMBERS = ("responsetime", "duration", "http.status")
_STRINGS = ("http.url", "http.method", "http.useragent", "http.clientip", "user", "name", "type", "id")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "CONTAINS": lambda a, b: isinstance(a, str) and str(b) in a,
    "BEGINSWITH": lambda a, b: isinstance(a, str) and a.startswith(str(b)),
    "ENDSWITH": lambda a, b: isinstance(a, str) and a.endswith(str(b)),
}


class FilterError(ValueError):
    """An expression that X-Ray does not accept."""


class Subject:
    """What an expression is evaluated for: a whole trace, or one service in it."""

    def __init__(self, trace: Trace, node: Node | None = None) -> None:
        self.trace = trace
        self.nodes = [node] if node else trace.nodes
        self._node = node or trace.entry
        self._whole = node is None

    def flag(self, name: str) -> bool:
        """A boolean keyword."""
        if name == "partial":
            return self.trace.partial
        if name == "ok":
            return not any(n.error or n.fault or n.throttle for n in self.nodes)
        return any(bool(getattr(n, name)) for n in self.nodes)

    def number(self, name: str) -> float | None:
        """A number keyword; None when there is no such value."""
        if name == "http.status":
            status = self._node.http.get("status")
            return float(status) if isinstance(status, int | float) else None
        return self.trace.duration if name == "duration" and self._whole else self._node.response_time

    def strings(self, name: str) -> list[str]:
        """A string keyword; a trace has several users, and names."""
        if name == "id":
            return [self.trace.id]
        if name in ("user", "name", "type"):
            return [str(value) for n in self.nodes if (value := getattr(n, name)) is not None]
        key = {"useragent": "user_agent", "clientip": "client_ip"}.get(name[5:], name[5:])
        return [str(self._node.http[key])] if key in self._node.http else []

    def annotations(self, key: str) -> list[Any]:
        """Values of an annotation."""
        return [n.annotations[key] for n in self.nodes if key in n.annotations]


def compile_filter(expression: str | None) -> Callable[[Trace], bool]:
    """A test of traces; without an expression every trace passes. Raises FilterError."""
    if not expression or not expression.strip():
        return lambda _trace: True
    test = _Parser(expression).parse()
    return lambda trace: test(Subject(trace))


class _Parser:
    def __init__(self, text: str) -> None:
        self._cursor = Cursor(text, _TOKEN, FilterError)
        self._cursor.rest()  # unreadable text is an error before anything is parsed

    def parse(self) -> Test:
        test = self._any()
        self._cursor.end()
        return test

    def _any(self) -> Test:
        tests = self._cursor.joined(self._all, "OR", "word")
        return tests[0] if len(tests) == 1 else lambda subject: any(test(subject) for test in tests)

    def _all(self) -> Test:
        tests = [self._not()]
        while self._cursor.take("AND", "word") or self._term_follows():
            tests.append(self._not())
        return tests[0] if len(tests) == 1 else lambda subject: all(test(subject) for test in tests)

    def _term_follows(self) -> bool:
        """Whether another term follows: AND may be left out."""
        token = self._cursor.peek()
        return token is not None and token.text.upper() not in (")", "}", "OR")

    def _not(self) -> Test:
        with self._cursor.nested():
            if self._cursor.take("!"):
                test = self._not()
                return lambda subject: not test(subject)
            if self._cursor.take("("):
                test = self._any()
                self._cursor.expect(")")
                return test
            return self._term()

    def _term(self) -> Test:
        kind, text, _ = self._cursor.next()
        if kind != "word":
            self._cursor.fail(f"a keyword was expected, not {text!r}")
        name = text.lower()
        if name == "service":
            return self._service()
        if name == "edge":
            return self._edge()
        if name.startswith("annotation"):
            return self._annotation(text)
        if name in _FLAGS:
            return self._flag(name)
        if name in _NUMBERS:
            compare, value = self._comparison(float)
            return lambda subject: (number := subject.number(name)) is not None and compare(number, value)
        if name in _STRINGS:
            compare, value = self._comparison(str)
            return lambda subject: any(compare(text, value) for text in subject.strings(name))
        self._cursor.fail(f"unknown keyword {text!r}")

    def _flag(self, name: str) -> Test:
        if not (is_equal := self._cursor.take("=")) and not self._cursor.take("!="):
            return lambda subject: subject.flag(name)
        value = self._cursor.next().text.lower() == "true"
        return lambda subject: (subject.flag(name) == value) == is_equal

    def _annotation(self, text: str) -> Test:
        key = text.partition(".")[2]
        if not key:
            self._cursor.expect("[")
            key = _unquoted(self._cursor.next().text)
            self._cursor.expect("]")
        token = self._cursor.peek()
        if token is None or token.text.upper() not in _COMPARE:
            return lambda subject: bool(subject.annotations(key))
        compare, value = self._comparison(None)
        return lambda subject: any(_safely(compare, each, value) for each in subject.annotations(key))

    def _service(self) -> Test:
        match = self._named()
        inner = self._inner()
        return lambda subject: any(match(n) and inner(Subject(subject.trace, n)) for n in subject.nodes)

    def _edge(self) -> Test:
        self._cursor.expect("(")
        caller = self._node_match()
        self._cursor.expect(",")
        called = self._node_match()
        self._cursor.expect(")")
        inner = self._inner()

        def test(subject: Subject) -> bool:
            callers = {n.name for n in subject.nodes if caller(n)}
            return any(n.parent in callers and called(n) and inner(Subject(subject.trace, n)) for n in subject.nodes)

        return test

    def _named(self) -> Callable[[Node], bool]:
        self._cursor.expect("(")
        if self._cursor.take(")"):
            return lambda _node: True
        match = self._node_match()
        self._cursor.expect(")")
        return match

    def _node_match(self) -> Callable[[Node], bool]:
        kind, text, _ = self._cursor.next()
        if kind == "string":
            name = _unquoted(text)
            return lambda node: node.name == name
        if text.lower() != "id":
            self._cursor.fail(f"a service's name was expected, not {text!r}")
        properties: dict[str, str] = {}
        self._cursor.expect("(")
        while not self._cursor.take(")"):
            key = self._cursor.next().text.lower()
            self._cursor.expect(":")
            properties[key] = _unquoted(self._cursor.next().text)
            self._cursor.take(",")
        return lambda node: (
            node.name == properties.get("name", node.name)
            and node.type == properties.get("type", node.type)
            and node.account == properties.get("account.id", node.account)
        )

    def _inner(self) -> Test:
        if not self._cursor.take("{"):
            return lambda _subject: True
        test = self._any()
        self._cursor.expect("}")
        return test

    def _comparison(self, convert: type | None) -> tuple[Callable[[Any, Any], bool], Any]:
        name = self._cursor.next().text
        compare = _COMPARE.get(name.upper())
        if compare is None:
            self._cursor.fail(f"an operator was expected, not {name!r}")
        kind, text, _ = self._cursor.next()
        value: Any = float(text) if kind == "number" else _unquoted(text)
        if kind == "word":
            if text.lower() not in ("true", "false"):
                self._cursor.fail(f"a value was expected, not {text!r}")
            value = text.lower() == "true"
        try:
            return compare, convert(value) if convert else value
        except ValueError as error:
            raise FilterError(f"a number was expected, not {text!r}") from error


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in ("'", '"') else text


def _safely(compare: Callable[[Any, Any], bool], annotation: Any, value: Any) -> bool:
    try:
        return compare(annotation, value)
    except TypeError:  # a text is neither more nor less than a number
        return False
