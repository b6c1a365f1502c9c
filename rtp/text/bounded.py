"""JMESPath with a limit of steps and of sizes: `[@,@]|[@,@]|…` doubles its result with every six characters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from jmespath import functions, visitor

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEPTH = 100
_INTEGER_BITS = 4096
_CHARACTERS = 16  # of a text that count as one value
_STEPS, _STEPS_PER_VALUE = 1_000_000, 20
_VALUES, _VALUES_PER_VALUE = 1_000_000, 4


class TooLargeError(Exception):
    """A query takes more steps or makes a larger value than the document justifies."""


def check(tree: Any) -> None:
    """Refuse an expression that is nested too deeply. Raises TooLargeError."""
    level = [tree]
    for _ in range(_DEPTH):
        level = [child for node in level for child in node.get("children", ()) if isinstance(child, dict)]
        if not level:
            return
    raise TooLargeError(f"it is nested deeper than {_DEPTH} levels")


def search(tree: Any, document: Any) -> Any:
    """Evaluate an expression. Raises TooLargeError, and whatever JMESPath raises."""
    return _Interpreter(document).visit(tree, document)


class _Interpreter(visitor.TreeInterpreter):
    """Counts the steps, and measures every value: its members in all depths, a shared one each time."""

    def __init__(self, document: Any) -> None:
        super().__init__()
        self._functions = _Functions(self)
        self._sizes: dict[int, tuple[int, int]] = {}
        self._values: list[Any] = []  # keeps measured values alive, so that no other one gets their ids
        self._most = math.inf
        size = self.size(document)
        self._most = _VALUES + _VALUES_PER_VALUE * size
        self._left = _STEPS + _STEPS_PER_VALUE * size

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        self.spend(1)
        result = super().visit(node, *args, **kwargs)
        self.size(result)
        return result

    def visit_comparator(self, node: Any, value: Any) -> Any:
        sides = [self.visit(child, value) for child in node["children"]]
        self.spend(min(map(self.size, sides)))
        children = [{"type": "literal", "value": side, "children": []} for side in sides]
        known: Any = {**node, "children": children}
        return super().visit_comparator(known, value)

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TooLargeError("it takes too many steps on this document")

    def size(self, value: Any) -> int:
        return self._measured(value)[0]

    def _measured(self, value: Any) -> tuple[int, int]:
        """The number of values in a value, and their depth."""
        if isinstance(value, str):
            size = 1 + len(value) // _CHARACTERS
            if size > self._most:
                raise TooLargeError("it makes too large a text")
            return size, 0
        if isinstance(value, float) and not math.isfinite(value):
            raise TooLargeError("it makes a number that JSON has not")
        if isinstance(value, int) and value.bit_length() > _INTEGER_BITS:
            raise TooLargeError("it makes too large a number")
        if not isinstance(value, dict | list):
            return 1, 0
        known = self._sizes.get(id(value))
        if known is None:
            size, depth = 1 + len(value) * isinstance(value, dict), 0
            for member in value.values() if isinstance(value, dict) else value:
                of_member, below = self._measured(member)
                size, depth = size + of_member, max(depth, below + 1)
            if size > self._most or (depth > _DEPTH and self._most < math.inf):
                raise TooLargeError("it makes too large a value")
            known = self._sizes[id(value)] = size, depth
            self._values.append(value)
        return known


class _Functions(functions.Functions):
    """Each call costs as many steps as its arguments have values."""

    def __init__(self, interpreter: _Interpreter) -> None:
        self._interpreter = interpreter

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        resolved_args = list(resolved_args)
        self._interpreter.spend(sum(map(self._interpreter.size, resolved_args)))
        return super().call_function(function_name, resolved_args)
