"""API Gateway's mapping templates: the part of Velocity that integrations are written in.

The engine's own renderer has no `#if`, no string methods, no `$context` to write to. What this one does not know it
says (MappingError) rather than sending it on as text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from rtp.local.regexes import compile_timed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<text>'[^']*'|"[^"]*")|(?P<number>-?\d+)|(?P<word>true|false|null)(?![\w-])"""
    r"""|(?P<operator>\|\||&&|==|!=|>=|<=|[<>!=(),])|(?P<reference>\$!?\{?[A-Za-z][\w-]*)"""
)
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
    "replaceAll": lambda text, pattern, new: compile_timed(pattern).sub(lambda _: new, text),
}


class MappingError(ValueError):
    """A template uses what is not known here."""


@dataclass(frozen=True, slots=True)
class Input:
    """`$input`: the payload and the request's parameters."""

    body: str
    params: Mapping[str, str]


def render(template: str, source: Input, context: dict[str, Any]) -> str:
    """The text that template makes. `#set($context.…)` is written to context, where overrides are read from."""
    return _Renderer(template, source, context).run()


class _Renderer:
    def __init__(self, template: str, source: Input, context: dict[str, Any]) -> None:
        self._text = template
        self._at = 0
        self._source = source
        self._variables: dict[str, Any] = {"context": context}

    def run(self) -> str:
        text, ended = self._block(live=True)
        if ended:
            raise MappingError(f"#{ended} without #if")
        return text

    def _block(self, *, live: bool) -> tuple[str, str]:
        """Text up to the directive that ends this block, and which that is. What is not live changes nothing."""
        made: list[str] = []
        while self._at < len(self._text):
            directive = _DIRECTIVE.match(self._text, self._at)
            if directive:
                self._at = directive.end()
                name = directive[1] or directive[2]
                if name in ("elseif", "else", "end"):
                    return "".join(made), name
                made.append(self._set(live=live) if name == "set" else self._if(live=live))
            elif self._text[self._at] == "$" and (reference := _TOKEN.match(self._text, self._at)):
                self._at = reference.end()
                made.append(_shown(self._reference(reference[0])))
            else:
                made.append(self._text[self._at])
                self._at += 1
        return "".join(made), ""

    def _if(self, *, live: bool) -> str:
        chosen, name, found = "", "if", False
        while name != "end":
            wanted = live and not found and (name == "else" or _true(self._condition()))
            if not wanted and name != "else" and (found or not live):
                self._condition()
            text, name = self._block(live=wanted)
            if not name:
                raise MappingError("#if without #end")
            if wanted:
                chosen, found = text, True
        return chosen

    def _condition(self) -> Any:
        self._expect("(")
        value = self._either()
        self._expect(")")
        return value

    def _set(self, *, live: bool) -> str:
        self._expect("(")
        target = self._next("reference")
        path = [target.lstrip("$!{")]
        while step := _STEP.match(self._text, self._at):
            path.append(step[1])
            self._at = step.end()
        self._expect("=")
        value = self._either()
        self._expect(")")
        if self._text.startswith("\n", self._at):  # Velocity takes the line feed with the directive
            self._at += 1
        if live and value is not None:
            place = self._variables
            for name in path[:-1]:
                place = place.setdefault(name, {})
            place[path[-1]] = value
        return ""

    def _either(self) -> Any:
        value = self._both()
        while self._skip("||"):
            other = self._both()
            value = _true(value) or _true(other)
        return value

    def _both(self) -> Any:
        value = self._compared()
        while self._skip("&&"):
            other = self._compared()
            value = _true(value) and _true(other)
        return value

    def _compared(self) -> Any:
        value = self._primary()
        for operator, compare in _COMPARE.items():
            if self._skip(operator):
                other = self._primary()
                # Velocity compares what cannot be compared as false.
                return compare(value, other) if operator in ("==", "!=") or type(value) is type(other) else False
        return value

    def _primary(self) -> Any:
        if self._skip("!"):
            return not _true(self._primary())
        if self._skip("("):
            value = self._either()
            self._expect(")")
            return value
        kind, text = self._token()
        if kind == "text":
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
        while step := _STEP.match(self._text, self._at):
            self._at = step.end()
            arguments = self._arguments() if self._text.startswith("(", self._at) else None
            value = self._step(name if value in ("input", "util") else "", value, step[1], arguments)
        if "{" in start:
            if not self._text.startswith("}", self._at):
                raise MappingError(f"{start} is not closed")
            self._at += 1
        return value

    def _step(self, root: str, value: Any, name: str, arguments: list[Any] | None) -> Any:
        if root == "input":
            return self._of_input(name, arguments)
        if root == "util":
            if name == "urlEncode" and arguments is not None:
                return quote_plus(_shown(arguments[0]), safe="*").replace("~", "%7E")
            raise MappingError(f"$util.{name} is not known")
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
        raise MappingError(f".{name}() is not known")

    def _of_input(self, name: str, arguments: list[Any] | None) -> Any:
        if name == "body":
            return self._source.body
        if name == "params" and arguments:
            return self._source.params.get(str(arguments[0]), "")
        if name in ("path", "json") and arguments:
            found = _at_path(self._source.body, str(arguments[0]))
            return found if name == "path" else json.dumps(found)
        raise MappingError(f"$input.{name} is not known")

    def _arguments(self) -> list[Any]:
        self._expect("(")
        found: list[Any] = []
        while not self._skip(")"):
            found.append(self._either())
            self._skip(",")
        return found

    def _token(self) -> tuple[str, str]:
        while match := _TOKEN.match(self._text, self._at):
            self._at = match.end()
            if match.lastgroup != "space":
                return str(match.lastgroup), match[0]
        raise MappingError(f"cannot read {self._text[self._at : self._at + 20]!r}")

    def _next(self, kind: str) -> str:
        found, text = self._token()
        if found != kind:
            raise MappingError(f"{text!r} where a {kind} belongs")
        return text

    def _skip(self, operator: str) -> bool:
        before = self._at
        try:
            if self._token() == ("operator", operator):
                return True
        except MappingError:
            pass
        self._at = before
        return False

    def _expect(self, operator: str) -> None:
        if not self._skip(operator):
            raise MappingError(f"{operator} missing at {self._text[self._at : self._at + 20]!r}")


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
    """A JSON path of plain names; the whole text where it is not JSON."""
    try:
        found = json.loads(body)
    except ValueError:
        return body if path == "$" else None
    for name in path.removeprefix("$").split("."):
        if name:
            found = found.get(name) if isinstance(found, dict) else None
    return found
