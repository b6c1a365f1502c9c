"""The event as API Gateway's model of the body (JSON Schema draft 4). The runtime checks it too, with better errors."""

from __future__ import annotations

from typing import Any

from rtp.runtime import wire

_NAME = {"type": "string", "minLength": 1, "maxLength": wire.MAX_NAME}

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
        "timestamp": {
            "type": "integer",
            "minimum": 0,
            "maximum": wire.MAX_TIMESTAMP,
            "not": {"minimum": wire.SECONDS[0], "maximum": wire.SECONDS[1]},
        },
    },
    # Without a timestamp an event is identified by a UUIDv7, which contains one, or by the id of its request.
    "anyOf": [
        {"required": ["timestamp"]},
        {"not": {"required": ["id"]}},
        {"properties": {"id": {"type": "string", "pattern": wire.UUID7}}},
    ],
}
