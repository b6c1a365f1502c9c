"""The event as API Gateway's body model (JSON Schema draft 4). The runtime checks the same again, with better words."""

from __future__ import annotations

from typing import Any

UUID7 = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
_IDENTIFIER = {"type": "string", "minLength": 1, "maxLength": 128}

EVENT: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "title": "Event",
    "type": "object",
    "required": ["type", "data"],
    "additionalProperties": False,
    "properties": {
        "type": _IDENTIFIER,
        "data": {"type": "object"},
        "id": _IDENTIFIER,
        "timestamp": {"type": "integer", "minimum": 0},
    },
    # Without a timestamp of its own, an event is known by a UUIDv7, which carries one, or by the request that brought it.
    "anyOf": [
        {"required": ["timestamp"]},
        {"not": {"required": ["id"]}},
        {"properties": {"id": {"type": "string", "pattern": UUID7}}},
    ],
}
