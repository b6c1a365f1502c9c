"""API Gateway's mapping templates: the part of Velocity that integrations use.

The engine's own renderer has no `#if`, no string methods and no writable `$context`. This one raises MappingError for
what it does not support, instead of rendering it as text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from rtp.local.cursor import Cursor
from rtp.local.regexes import compile_timed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>'[^']*'|"[^"]*")|(?P<number>-?\d+)|(?P<word>true|false|null)(?![\w-])"""
    r"""|(?P<op>\|\||&&|==|!=|>=|<=|[<>!=(),])|(?P<reference>\$!?\{?[A-Za-z][\w-]*))"""
)
_REFERENCE = re.compile(r"\$!?\{?[A-Za-z][\w-]*")
_NAMES = "set|if|elseif|else|end"
_DIRECTIVE = re.compile(rf"#(?:\{{({_NAMES})\}}|({_NAMES})(?![A-Za-z]))")
_STEP = re.compile(r"\.([A-Za-z][\w-]*)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    ">": lambda a, b: bool(a > b),
    "<": lambda a, b: bool(a < b),
    ">=": lambda a, b: bool(a >= b),
    "<=": lambda a, b: bool(a <= b),
}
_STRING: dict[str, Callable[..., Any]] = {
    "length": len,
    "isEmpty": lambda text: not text,
    "toString": lambda text: text,
    "equals": lambda text, other: text == other,
    "contains": lambda text, part: part in text,
    "startsWith": lambda text, part: text.startswith(part),
    "endsWith": lambda text, part: text.endswith(part),
    "matches": lambda text, pattern: compile_timed(pattern).fullmatch(text) is not None,
    "replaceAll": lambda text, pattern, new: compile_timed(pattern).sub(new.replace("\\", r"\\"), text),
}


class MappingError(ValueError):
    """A template uses something that is not supported here."""


@dataclass(frozen=True, slots=True)
class Input:
    """`$input`: the payload and the request's parameters."""

    body: str
    params: Mapping[str, str]


def render(template: str, source: Input, context: dict[str, Any]) -> str:
    """Render a template. `#set($context.…)` writes to context, from which overrides are read. Raises MappingError."""
    return _Renderer(template, source, context).run()


class _Renderer:
    def __init__(self, template: str, source: Input, context: dict[str, Any]) -> None:
        self._cursor = Cursor(template, _TOKEN, MappingError)
        self._source = source
        self._variables: dict[str, Any] = {"context": context}

    def run(self) -> str:
        text, ended = self._block(live=True)
        if ended:
            raise MappingError(f"#{ended} without #if")
        return text

    def _block(self, *, live: bool) -> tuple[str, str]:
        """Render up to the directive that ends the block; its text and its name. live: whether `#set` has an effect."""
        parts: list[str] = []
        cursor = self._cursor
        while cursor.at < len(cursor.text):
            if directive := cursor.match(_DIRECTIVE):
                name = directive[1] or directive[2]
                if name in ("elseif", "else", "end"):
                    return "".join(parts), name
                parts.append(self._set(live=live) if name == "set" else self._if(live=live))
            elif reference := cursor.match(_REFERENCE):
                parts.append(_shown(self._reference(reference[0])))
            else:
                parts.append(cursor.text[cursor.at])
                cursor.at += 1
        return "".join(parts), ""

    def _if(self, *, live: bool) -> str:
        chosen, name, is_chosen = "", "if", False
        while name != "end":
            is_next = live and not is_chosen and (name == "else" or _true(self._condition()))
            if not is_next and name != "else" and (is_chosen or not live):
                self._condition()
            text, name = self._block(live=is_next)
            if not name:
                raise MappingError("#if without #end")
            if is_next:
                chosen, is_chosen = text, True
        return chosen

    def _condition(self) -> Any:
        self._cursor.expect("(")
        value = self._either()
        self._cursor.expect(")")
        return value

    def _set(self, *, live: bool) -> str:
        self._cursor.expect("(")
        kind, target, _ = self._cursor.next()
        if kind != "reference":
            raise MappingError(f"a reference was expected, not {target!r}")
        path = [target.lstrip("$!{")]
        while step := self._cursor.match(_STEP):
            path.append(step[1])
        self._cursor.expect("=")
        value = self._either()
        self._cursor.expect(")")
        self._cursor.literal("\n")  # in Velocity the line feed belongs to the directive
        if live and value is not None:
            place = self._variables
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = value
        return ""

    def _either(self) -> Any:
        value = self._both()
        while self._cursor.take("||"):
            other = self._both()
            value = _true(value) or _true(other)
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._cursor.take("&&"):
            other = self._compared()
            value = _true(value) and _true(other)
        return value

    def _compared(self) -> Any:
        value = self._primary()
        for operator, compare in _COMPARE.items():
            if self._cursor.take(operator):
                other = self._primary()
                # Velocity compares what cannot be compared as false.
                return compare(value, other) if operator in ("==", "!=") or type(value) is type(other) else False
        return value

    def _primary(self) -> Any:
        if self._cursor.take("!"):
            return not _true(self._primary())
        if self._cursor.take("("):
            value = self._either()
            self._cursor.expect(")")
            return value
        kind, text, _ = self._cursor.next()
        if kind == "string":
            return text[1:-1]
        if kind == "number":
            return int(text)
        if kind == "word":
            return {"true": True, "false": False}.get(text)
        if kind == "reference":
            return self._reference(text)
        raise MappingError(f"cannot read {text!r}")

    def _reference(self, start: str) -> Any:
        """The value of a reference whose root has been read. Calls and properties follow it."""
        name = start.lstrip("$!{")
        value: Any = name if name in ("input", "util") else self._variables.get(name)
        while step := self._cursor.match(_STEP):
            arguments = self._arguments() if self._cursor.literal("(") else None
            value = self._step(name if value in ("input", "util") else "", value, step[1], arguments)
        if "{" in start and not self._cursor.literal("}"):
            raise MappingError(f"{start} is not closed")
        return value

    def _step(self, root: str, value: Any, name: str, arguments: list[Any] | None) -> Any:
        if root == "input":
            return self._of_input(name, arguments)
        if root == "util":
            if name == "urlEncode" and arguments is not None:
                return quote_plus(_shown(arguments[0]), safe="*").replace("~", "%7E")
            raise MappingError(f"$util.{name} is not supported")
        if value is None:
            return None
        if arguments is None:
            return value.get(name) if isinstance(value, dict) else None
        if isinstance(value, str) and name in _STRING:
            return _STRING[name](value, *arguments)
        if isinstance(value, dict) and name == "get":
            return value.get(*arguments)
        if name == "toString":
            return _shown(value)
        raise MappingError(f".{name}() is not supported")

    def _of_input(self, name: str, arguments: list[Any] | None) -> Any:
        if name == "body":
            return self._source.body
        if name == "params" and arguments:
            return self._source.params.get(str(arguments[0]), "")
        if name in ("path", "json") and arguments:
            value = _at_path(self._source.body, str(arguments[0]))
            return value if name == "path" else json.dumps(value)
        raise MappingError(f"$input.{name} is not supported")

    def _arguments(self) -> list[Any]:
        """The arguments of a call, after its parenthesis."""
        arguments: list[Any] = []
        while not self._cursor.take(")"):
            arguments.append(self._either())
            self._cursor.take(",")
        return arguments


def _true(value: Any) -> bool:
    """As Velocity 1.7 sees it: false and null are not true, everything else is."""
    return value is not None and value is not False


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _at_path(body: str, path: str) -> Any:
    """A JSON path of plain names; the whole text where it is not JSON, or nested too deep to be parsed."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body if path == "$" else None
    for name in path.removeprefix("$").split("."):
        if name:
            value = value.get(name) if isinstance(value, dict) else None
    return value
