"""X-Ray's filter expressions: `service("x") { fault } AND annotation.event_id = "7" AND responsetime > 2.5`.

As GetTraceSummaries says of HasError and HasFault, a bare `error` or `fault` is true when any segment has it.
"""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.tracing.tree import Node, Trace

    Test = Callable[["View"], bool]

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


_MAX_DEPTH = 50


class FilterError(ValueError):
    """The expression is not one."""


class View:
    """What an expression is about: a whole trace, or one service in it."""

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
    return lambda trace: test(View(trace))


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = self._depth = 0

    def parse(self) -> Test:
        test = self._any()
        if self._at < len(self._tokens):
            raise FilterError(f"unexpected {self._tokens[self._at][1]!r}")
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._word("OR"):
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda view: any(test(view) for test in tests)

    def _all(self) -> Test:
        tests = [self._not()]
        while self._word("AND") or self._peek() not in (None, ")", "}", "OR"):
            tests.append(self._not())
        return tests[0] if len(tests) == 1 else lambda view: all(test(view) for test in tests)

    def _not(self) -> Test:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise FilterError("it is nested too deeply")
        test = self._inverted()
        self._depth -= 1
        return test

    def _inverted(self) -> Test:
        if self._op("!"):
            test = self._not()
            return lambda view: not test(view)
        if self._op("("):
            test = self._any()
            self._need(")")
            return test
        return self._term()

    def _term(self) -> Test:
        kind, text = self._next()
        if kind != "word":
            raise FilterError(f"a keyword was expected, not {text!r}")
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
            return lambda view: (found := view.number(name)) is not None and compare(found, value)
        if name in _STRINGS:
            compare, value = self._comparison(str)
            return lambda view: any(compare(found, value) for found in view.strings(name))
        raise FilterError(f"unknown keyword {text!r}")

    def _flag(self, name: str) -> Test:
        if self._peek() not in ("=", "!="):
            return lambda view: view.flag(name)
        same = self._next()[1] == "="
        wanted = self._next()[1].lower() == "true"
        return lambda view: (view.flag(name) == wanted) == same

    def _annotation(self, text: str) -> Test:
        key = text.partition(".")[2]
        if not key:
            self._need("[")
            key = _unquoted(self._next()[1])
            self._need("]")
        if self._peek() not in _COMPARE:
            return lambda view: bool(view.annotations(key))
        compare, value = self._comparison(None)
        return lambda view: any(_safely(compare, found, value) for found in view.annotations(key))

    def _service(self) -> Test:
        match = self._named()
        inner = self._inner()
        return lambda view: any(match(n) and inner(View(view.trace, n)) for n in view.nodes)

    def _edge(self) -> Test:
        self._need("(")
        caller = self._node_match()
        self._need(",")
        called = self._node_match()
        self._need(")")
        inner = self._inner()

        def test(view: View) -> bool:
            callers = {n.name for n in view.nodes if caller(n)}
            return any(n.parent in callers and called(n) and inner(View(view.trace, n)) for n in view.nodes)

        return test

    def _named(self) -> Callable[[Node], bool]:
        self._need("(")
        if self._op(")"):
            return lambda _node: True
        match = self._node_match()
        self._need(")")
        return match

    def _node_match(self) -> Callable[[Node], bool]:
        kind, text = self._next()
        if kind == "string":
            name = _unquoted(text)
            return lambda node: node.name == name
        if text.lower() != "id":
            raise FilterError(f"a service's name was expected, not {text!r}")
        wanted: dict[str, str] = {}
        self._need("(")
        while not self._op(")"):
            key = self._next()[1].lower()
            self._need(":")
            wanted[key] = _unquoted(self._next()[1])
            self._op(",")
        return lambda node: (
            node.name == wanted.get("name", node.name)
            and node.type == wanted.get("type", node.type)
            and node.account == wanted.get("account.id", node.account)
        )

    def _inner(self) -> Test:
        if not self._op("{"):
            return lambda _view: True
        test = self._any()
        self._need("}")
        return test

    def _comparison(self, convert: type | None) -> tuple[Callable[[Any, Any], bool], Any]:
        _, name = self._next()
        compare = _COMPARE.get(name.upper())
        if compare is None:
            raise FilterError(f"an operator was expected, not {name!r}")
        kind, text = self._next()
        value: Any = float(text) if kind == "number" else _unquoted(text)
        if kind == "word":
            if text.lower() not in ("true", "false"):
                raise FilterError(f"a value was expected, not {text!r}")
            value = text.lower() == "true"
        try:
            return compare, convert(value) if convert else value
        except ValueError as error:
            raise FilterError(f"a number was expected, not {text!r}") from error

    def _peek(self) -> str | None:
        if self._at >= len(self._tokens):
            return None
        kind, text = self._tokens[self._at]
        return text.upper() if (kind == "word" and text.upper() in _COMPARE) or text.upper() in ("AND", "OR") else text

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise FilterError("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _word(self, word: str) -> bool:
        return self._take("word", word)

    def _op(self, op: str) -> bool:
        return self._take("op", op)

    def _take(self, kind: str, text: str) -> bool:
        if self._at < len(self._tokens):
            found_kind, found = self._tokens[self._at]
            if found_kind == kind and found.upper() == text:
                self._at += 1
                return True
        return False

    def _need(self, op: str) -> None:
        kind, text = self._next()
        if kind != "op" or text != op:
            raise FilterError(f"{op!r} was expected, not {text!r}")


def _tokens(text: str) -> list[tuple[str, str]]:
    found = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise FilterError(f"unexpected {text[at:].strip()[:20]!r}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in ("'", '"') else text


def _safely(compare: Callable[[Any, Any], bool], found: Any, value: Any) -> bool:
    try:
        return compare(found, value)
    except TypeError:  # a text is neither more nor less than a number
        return False
