"""The engine parses a statement of a batch once, and gives nobody another's."""

from __future__ import annotations

from typing import Any

from rtp.local.patches.statements import once


def test_a_statement_is_parsed_once_for_its_check_and_its_run() -> None:
    calls: list[str] = []

    def parse(statement: str, _parameters: list[Any]) -> dict[str, Any]:
        calls.append(statement)
        return {"op": statement}

    parsed, first, second = once(parse), [{"S": "a"}], [{"S": "a"}]
    # Given a batch's look at a statement / Then its run gets the same
    assert parsed("x", first) is parsed("x", first)
    assert calls == ["x"]
    # But not the next run of it, nor an equal one of another request
    parsed("x", first)
    parsed("x", second)
    assert calls == ["x", "x", "x"]
