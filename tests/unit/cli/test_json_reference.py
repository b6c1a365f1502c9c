"""docs/json.md: complete, up to date, and a check that would notice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from docs import generate, json_reference, shapes
from rtp import cli
from rtp.ops.telemetry import logevent
from rtp.text import json_values
from tests import json_documents

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = list(dict.fromkeys(kind for hint in json_reference.hints() for kind in shapes.dataclasses_in(hint)))


def with_json(path: str, command: Any) -> Iterator[str]:
    subcommands = getattr(command, "commands", {})
    has_json = any("--json" in parameter.opts for parameter in command.params)
    if has_json and (not subcommands or command.invoke_without_command):
        yield path
    for name, each in subcommands.items():
        yield from with_json(f"{path} {name}", each)


def test_every_command_with_json_is_in_the_reference() -> None:
    assert get_command(cli.app)
    assert {path for name in cli.COMMANDS for path in with_json(name, cli.load(name))} == set(json_reference.PRINTED)


def test_the_generated_pages_are_up_to_date() -> None:
    assert generate.main(["--check"]) == 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_object_and_every_field_has_a_meaning(kind: type) -> None:
    assert shapes.summary(kind)
    assert [field.name for field in shapes.fields(kind) if not field.meaning] == []


LINE = {
    "version": 1,
    "type": "log",
    **json_values.to_json_types(logevent.LogEvent("2026-01-01T00:00:00.000Z", "INFO", "worker", "m")),
}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"version": 2}, "does not begin with the version"),
        ({"level": 3}, "$.level: 3 is not str"),
        ({"kind": "other"}, "$.kind: 'other' is not one of"),
        ({"id": None}, None),
        ({"new": 1}, "$.new: not a field of LogEvent"),
        ({"type": "other"}, "a line of no known type"),
        ({"fields": []}, "$.fields: [] is not an object"),
    ],
)
def test_a_line_of_another_shape_is_noticed(change: dict[str, Any], problem: str | None) -> None:
    wrong = list(json_documents.problems_of("logs", json.dumps(LINE | change)))
    assert len(wrong) == (problem is not None)
    assert problem is None or problem in wrong[0]


def test_a_missing_field_is_noticed_and_an_optional_one_is_not() -> None:
    sent = {"id": "e", "timestamp": 1, "status": "processed", "http_status": 200, "trace_id": "", "latency_ms": 1.5}
    assert list(json_documents.problems_of("send", json.dumps({"version": 1, **sent}))) == []
    del sent["status"]
    assert list(json_documents.problems_of("send", json.dumps({"version": 1, **sent}))) == ["$.status: missing"]
