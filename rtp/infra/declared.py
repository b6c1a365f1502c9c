"""The types of events that the user's code declares processors for, read without running it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rtp.infra import packing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rtp.infra.packing import Sources


def types(sources: Sources) -> frozenset[str] | None:
    """The declared types; None where one is computed and so is not known before the code runs. Raises ConfigError."""
    declared: set[str] = set()
    for _, file in packing.select(sources).entries:
        if file.suffix != ".py":
            continue
        try:
            module = packing.parsed(file.read_bytes(), file)
        except (SyntaxError, ValueError):
            return None
        for value in _declarations(module):
            if value is None:
                return None
            declared.add(value)
    return frozenset(declared)


def declares(file: Path) -> bool:
    """Whether a module declares a processor, as far as its text shows."""
    try:
        text = file.read_bytes()
        return b"rtp.runtime" in text and any(True for _ in _declarations(packing.parsed(text, file)))
    except (OSError, SyntaxError, ValueError):
        return False


def _declarations(module: ast.Module) -> Iterator[str | None]:
    """The type of each `processor(TYPE, …)`: a text, or the name of a constant of the module; None for another form."""
    constants = {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or _name(node.func) != "processor":
            continue
        given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "type")]
        value = given[0] if given else None
        text = value.value if isinstance(value, ast.Constant) else None
        if isinstance(value, ast.Name):
            text = constants.get(value.id)
        yield text if isinstance(text, str) else None


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
