"""The event as API Gateway's body model (JSON Schema draft 4). The runtime checks the same again, in better words."""

from __future__ import annotations

from typing import Any

UUID7 = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
_NAME = {"type": "string", "minLength": 1, "maxLength": 128}
_LAST_TIMESTAMP = 253_402_300_799_999  # of the year 9999, epoch ms

EVENT: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "title": "Event",
    "type": "object",
    "required": ["type", "data"],
    "additionalProperties": False,
    "properties": {
        "type": _NAME,
        "data": {"type": "object"},
        "id": _NAME,
        "timestamp": {"type": "integer", "minimum": 0, "maximum": _LAST_TIMESTAMP},
    },
    # Without a timestamp an event is known by a UUIDv7, which carries one, or by the request that brought it.
    "anyOf": [
        {"required": ["timestamp"]},
        {"not": {"required": ["id"]}},
        {"properties": {"id": {"type": "string", "pattern": UUID7}}},
    ],
}
