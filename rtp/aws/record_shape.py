"""The shape of a record: attributes of other types than the functions write count as missing.

Whoever may write the table may write anything there; a record that is shown, counted or redriven has known types.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rtp.runtime.wire import MAX_TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    """A time or a count: of a later time there is no date."""
    return isinstance(value, int) and 0 <= value <= MAX_TIMESTAMP


def _is_number(value: Any) -> bool:
    return isinstance(value, int | Decimal) and 0 <= value <= MAX_TIMESTAMP


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_Kinds = dict[str, "Callable[[Any], bool]"]

_ERROR: _Kinds = dict.fromkeys(("type", "message", "signature", "at"), _is_text)
_ATTEMPT: _Kinds = {
    **dict.fromkeys(("n", "at"), _is_count),
    "duration_ms": _is_number,
    **dict.fromkeys(("outcome", "request_id", "trace_id", "invocation_trace_id", "release"), _is_text),
}
_NOTE: _Kinds = {
    **dict.fromkeys(("request_id", "digest", "redrive"), _is_text),
    "sent_at": _is_count,
    "is_sent": _is_flag,
}
_RECORD: _Kinds = {
    **dict.fromkeys(
        ("status", "status_shard", "type", "source", "digest", "data_key", "result_key", "request_id", "trace_id",
         "message_id", "release", "invocation_trace_id", "raw_key", "lease", "replay_run"),
        _is_text,
    ),
    **dict.fromkeys(
        ("accepted_at", "attempted_at", "processed_at", "lease_until", "attempt_count", "conflicts"), _is_count
    ),
}  # fmt: skip


def is_one(record: dict[str, Any]) -> bool:
    """Whether an item has a key that a record can have, and a status."""
    timestamp = record.get("timestamp")
    is_key = isinstance(record.get("id"), str) and isinstance(timestamp, int) and 0 <= timestamp <= MAX_TIMESTAMP
    return is_key and isinstance(record.get("status"), str)


def of(record: dict[str, Any]) -> dict[str, Any]:
    """A record without attributes of other types. Its own data and result, and unknown attributes, stay."""
    shaped = _kept(record, _RECORD)
    if "attempts" in shaped:
        attempts = shaped["attempts"] if isinstance(shaped["attempts"], list) else []
        shaped["attempts"] = [_with_error(_kept(each, _ATTEMPT)) for each in attempts if isinstance(each, dict)]
    if "dlq_message" in shaped:
        note = shaped.pop("dlq_message")
        if isinstance(note, dict):
            shaped["dlq_message"] = _kept(note, _NOTE)
    return _with_error(shaped)


def _kept(values: dict[str, Any], kinds: _Kinds) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in kinds or kinds[name](value)}


def _with_error(values: dict[str, Any]) -> dict[str, Any]:
    if "error" not in values:
        return values
    error = values.pop("error")
    return values | {"error": _kept(error, _ERROR)} if isinstance(error, dict) else values
