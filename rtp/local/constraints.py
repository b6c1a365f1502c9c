"""What a service's model says of its parameters, and what AWS says of one that it refuses.

AWS's services check lengths, ranges, value sets and patterns before anything else, from the models that botocore has
too, and name every parameter that fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rtp.local import models

_PATTERN_TIMEOUT_S = 1.0
_MAX_SHOWN = 20  # violations in one message
_SIZED = ("string", "list", "map")
_NUMBERS = ("integer", "long", "float", "double")


@dataclass(slots=True)
class Node:
    """The constraints of one shape and of what is below it. Empty fields are not checked."""

    kind: str
    least: int | None = None
    most: int | None = None
    pattern: str = ""
    values: tuple[str, ...] = ()
    members: dict[str, Node] = field(default_factory=dict)  # of a structure
    key: Node | None = None  # of a map
    value: Node | None = None  # of a map or a list

    @property
    def is_empty(self) -> bool:
        """Whether nothing is checked here and below."""
        own = self.least is None and self.most is None and not self.pattern and not self.values
        return own and not self.members and self.key is None and self.value is None


@cache
def of(service: str, operation: str) -> Node | None:
    """The constraints of an operation's parameters; None if there are none, or no such operation."""
    shapes = models.service(service)["shapes"]
    described = models.service(service)["operations"].get(operation) or {}
    name = (described.get("input") or {}).get("shape")
    return _node(shapes, name, ()) if name else None


def refusal(node: Node, params: dict[str, Any]) -> str | None:
    """AWS's message about parameters that break their constraints; None if none does."""
    violations: list[str] = []
    _check(node, params, "", violations)
    if not violations:
        return None
    count = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected"
    return f"{count}: {'; '.join(violations[:_MAX_SHOWN])}"


def _node(shapes: dict[str, Any], name: str, above: tuple[str, ...]) -> Node | None:
    """The node of a shape; None if nothing is checked. A shape within itself is checked once."""
    if name in above:
        return None
    shape, inner = shapes[name], (*above, name)
    kind = shape["type"]
    node = Node(kind, pattern=shape.get("pattern", ""), values=tuple(shape.get("enum", ())))
    if kind in _SIZED or kind in _NUMBERS:
        node.least = shape.get("min") or None if kind in _SIZED else shape.get("min")
        node.most = shape.get("max")
    if kind == "structure":
        for member, reference in shape["members"].items():
            if child := _node(shapes, reference["shape"], inner):
                node.members[member] = child
    elif kind == "list":
        node.value = _node(shapes, shape["member"]["shape"], inner)
    elif kind == "map":
        node.key = _node(shapes, shape["key"]["shape"], inner)
        node.value = _node(shapes, shape["value"]["shape"], inner)
    return None if node.is_empty else node


def _check(node: Node, value: Any, path: str, violations: list[str]) -> None:
    if value is None or len(violations) >= _MAX_SHOWN:
        return
    for rule in _broken_rules(node, value):
        violations.append(_violation(value, path, rule))
    if node.members and isinstance(value, dict):
        for name, child in node.members.items():
            if name in value:
                _check(child, value[name], f"{path}.{_lower(name)}" if path else _lower(name), violations)
    elif node.kind == "list" and node.value is not None and isinstance(value, list):
        _check_elements(node.value, "Member", dict(enumerate(value, 1)), (value, path), violations)
    elif node.kind == "map" and isinstance(value, dict):
        if node.key is not None:
            _check_elements(node.key, "Map keys", {key: key for key in value}, (value, path), violations)
        if node.value is not None:
            _check_elements(node.value, "Map value", value, (value, path), violations)


def _check_elements(
    node: Node, subject: str, elements: dict[Any, Any], whole: tuple[Any, str], violations: list[str]
) -> None:
    """Check the elements of a list or a map. For a rule of the element itself AWS names the whole, with every rule."""
    value, path = whole
    if any(_broken_rules(node, element) for element in elements.values()):
        rules = ", ".join(f"Member must {rule}" for rule in _rules(node))
        violations.append(_violation(value, path, f"satisfy constraint: [{rules}]", subject))
        return
    for name, element in elements.items():
        _check(node, element, f"{path}.{name}.member", violations)


def _violation(value: Any, path: str, rule: str, subject: str = "Member") -> str:
    return f"Value {_shown(value)} at '{path}' failed to satisfy constraint: {subject} must {rule}"


def _rules(node: Node) -> list[str]:
    """All rules of this shape, in AWS's words and order."""
    measure = "value" if node.kind in _NUMBERS else "length"
    rules = []
    if node.most is not None:
        rules.append(f"have {measure} less than or equal to {node.most}")
    if node.least is not None:
        rules.append(f"have {measure} greater than or equal to {node.least}")
    if node.pattern:
        rules.append(f"satisfy regular expression pattern: {node.pattern}")
    if node.values:
        rules.append(f"satisfy enum value set: [{', '.join(node.values)}]")
    return rules


def _broken_rules(node: Node, value: Any) -> list[str]:
    """The rules of this shape that a value breaks, in AWS's words; a value of another type breaks none."""
    rules = []
    measure, measured = _measure(node, value)
    if measured is None:
        return []
    if node.pattern and not _matches(node.pattern, value):
        rules.append(f"satisfy regular expression pattern: {node.pattern}")
    if node.values and value not in node.values:
        rules.append(f"satisfy enum value set: [{', '.join(node.values)}]")
    if node.least is not None and measured < node.least:
        rules.append(f"have {measure} greater than or equal to {node.least}")
    if node.most is not None and measured > node.most:
        rules.append(f"have {measure} less than or equal to {node.most}")
    return rules


def _measure(node: Node, value: Any) -> tuple[str, float | None]:
    if node.kind == "string" and isinstance(value, str):
        return "length", len(value) if value.isascii() else len(value.encode("utf-16-le", "surrogatepass")) // 2
    if (node.kind == "list" and isinstance(value, list)) or (node.kind == "map" and isinstance(value, dict)):
        return "length", len(value)
    if node.kind in _NUMBERS and isinstance(value, (int, float)) and not isinstance(value, bool):
        return "value", value
    return "", None


def _matches(pattern: str, text: str) -> bool:
    import regex  # has \p{L}, which `re` has not

    try:
        return regex.fullmatch(pattern, text, timeout=_PATTERN_TIMEOUT_S) is not None
    except (regex.error, TimeoutError):  # one that Java alone reads is not checked
        return True


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _shown(value: Any) -> str:
    """A value as AWS prints it."""
    return f"'{_text(value)}'"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}={_text(inner)}' for name, inner in value.items())}}}"
    return str(value)
