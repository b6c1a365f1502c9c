"""Statements of a batch are parsed once, and equal texts are tokenised once."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_TEXTS = 64  # whose tokens are cached

Parse = Callable[[str, list[Any]], dict[str, Any]]


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import _dynamodb_keywords, dynamodb

    old = dynamodb._parse_partiql
    replace(dynamodb, "_parse_partiql", once(old), "statement parameters")
    tokens = functools.lru_cache(_TEXTS)(_dynamodb_keywords._tokenize)  # the parser only reads them
    replace(_dynamodb_keywords, "_tokenize", tokens, "text")


PATCH = Patch(
    name="statements",
    aws="-",
    engine=(
        "BatchExecuteStatement parses each of its statements, and ExecuteStatement, which runs it, parses it "
        "again: a third of what a batch of the worker costs the engine."
    ),
    test="tests/unit/local/test_statements.py::test_a_statement_is_parsed_once_for_its_check_and_its_run",
    install=install,
    kind="speed",
)


def once(parse: Parse) -> Parse:
    """As `parse`, but the same statement object is parsed only once if it follows itself; per thread."""
    last = threading.local()

    def parsed(statement: str, parameters: list[Any]) -> dict[str, Any]:
        cached = getattr(last, "cached", None)
        last.cached = None
        if cached is not None and cached[0] is statement and cached[1] is parameters:
            repeated: dict[str, Any] = cached[2]
            return repeated
        result = parse(statement, parameters)
        last.cached = (statement, parameters, result)
        return result

    return parsed
