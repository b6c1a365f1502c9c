"""Build the JSON objects on stdout, each with the version of the shapes first. docs/json.md lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rtp.text import json_values

VERSION = 1
"""Changes when a field is removed or renamed, or when its type, unit or meaning changes; not with a new field."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command failed.

    code: stable, for scripts. message: for people; may change. hint: how to fix it; empty where nothing is known.
    """

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """A failure; in a stream the last line. error: what failed."""

    error: Failure


def document(data: Any) -> dict[str, Any]:
    """Build a document."""
    return {"version": VERSION, **json_values.to_json_types(data)}


def stream_line(kind: str, data: Any) -> dict[str, Any]:
    """Build one line of a stream, with its `type`."""
    return {"version": VERSION, "type": kind, **json_values.to_json_types(data)}


def rows(value: Any) -> list[str]:
    """Return a selected value as lines: a string as it is, a list a line each, null as none, others as JSON."""
    values = value if isinstance(value, list) else [value]
    return [each if isinstance(each, str) else json_values.dumps(each) for each in values if each is not None]
