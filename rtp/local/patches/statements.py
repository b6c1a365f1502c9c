"""Statements of a batch are parsed once.

Without this, BatchExecuteStatement parses each of its statements, and ExecuteStatement, which runs it, again: a third
of what a batch of the worker costs the engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rtp.local.patches import replace

Parse = Callable[[str, list[Any]], dict[str, Any]]


def apply() -> None:
    """Put it in."""
    from ministack.services import dynamodb

    old = dynamodb._parse_partiql
    replace(dynamodb, "_parse_partiql", once(old), "statement parameters")


def once(parse: Parse) -> Parse:
    """As `parse`, but the very statement that was parsed last is handed out once more as it is."""
    last = threading.local()

    def parsed(statement: str, parameters: list[Any]) -> dict[str, Any]:
        kept = getattr(last, "kept", None)
        last.kept = None
        if kept is not None and kept[0] is statement and kept[1] is parameters:
            found: dict[str, Any] = kept[2]
            return found
        made = parse(statement, parameters)
        last.kept = (statement, parameters, made)
        return made

    return parsed
