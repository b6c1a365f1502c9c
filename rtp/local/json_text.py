"""Values that are kept as JSON text: a fifth of the memory of Python's objects, and nothing to encode in a save."""

from __future__ import annotations

import json
from typing import Any

import msgspec

_REFUSED = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


def stored(value: Any) -> Any:
    """The JSON text of a dict, or the dict itself where it would come back as another."""
    try:
        text = _encode(value)
        return text if _decode(text) == value else value
    except _REFUSED:
        return value


def value(stored: Any) -> Any:
    """What was stored: a new dict, unless it is kept as a dict."""
    if not isinstance(stored, bytes):
        return stored
    try:
        return _decode(stored)
    except msgspec.MsgspecError:  # half a surrogate pair, which Python's own JSON keeps
        return json.loads(stored)


def saved(stored: Any, *, raw: bool) -> Any:
    """For a saved state. raw: for msgspec, which copies the text."""
    return msgspec.Raw(stored) if raw and isinstance(stored, bytes) else value(stored)
