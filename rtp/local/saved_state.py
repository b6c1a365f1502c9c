"""The saved state of the services that keep what events leave behind: read and written in a tenth of Python's time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from rtp.local.items import Items
from rtp.local.log_lines import SAVED, Lines
from rtp.local.message_list import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Hook = Callable[[dict[str, Any]], Any]

# Their data are texts and finite numbers. Other numbers msgspec would write as null, and bytes as text.
LARGE = ("cloudwatch_logs", "dynamodb", "sqs")
_MARKS = (b'"__account_region_scoped__"', b'"__scoped__"', b'"__bytes__"')  # of what the engine's own reader converts


class UnknownFormatError(Exception):
    """A state that the engine's own reader has to read or to refuse."""


class _File(msgspec.Struct):
    version: int = msgspec.field(name="__ministack_format__")
    payload: dict[str, msgspec.Raw]


class _Scoped(msgspec.Struct):
    is_scoped: bool = msgspec.field(name="__account_region_scoped__")
    data: dict[str, dict[str, msgspec.Raw]]


def version(service: str, known: int) -> int:
    """The version of a state's format: one more than MiniStack knows where its own reader could not read it."""
    return known + 1 if service == "cloudwatch_logs" else known


def load(service: str, text: bytes, known: int, hook: Hook) -> dict[str, Any]:
    """The state of a service. Raises UnknownFormatError.

    known: the newest version that MiniStack's reader knows. hook: that reader's, for MiniStack's types.
    """
    try:
        file = msgspec.json.decode(text, type=_File)
        if file.version > version(service, known):
            raise UnknownFormatError
        name, fields = _RESOURCES.get(service, ("", {}))
        parts = file.payload.items()
        return {key: _resources(raw, fields, hook) if key == name else _value(raw, hook) for key, raw in parts}
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return _slowly(service, text, known, hook)


def _slowly(service: str, text: bytes, known: int, hook: Hook) -> dict[str, Any]:
    """As `load`, of what Python's own JSON alone reads, such as half a surrogate pair."""
    try:
        file = json.loads(text, object_hook=lambda value: Lines.from_saved(value) if SAVED in value else hook(value))
        if file["__ministack_format__"] > version(service, known):
            raise UnknownFormatError
        state: dict[str, Any] = file["payload"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnknownFormatError from error
    return state


def read_messages() -> None:
    """Give the messages of queues as they are indexed, to a MiniStack that is patched for that."""
    _RESOURCES["sqs"] = ("queues", {"messages": Messages.from_json})


def encoder(default: Callable[[Any], Any], *, raw: bool) -> Callable[[Any], Any]:
    """What gives JSON for the engine's types. default: for those of MiniStack. raw: for msgspec, which copies JSON."""

    def encode(value: Any) -> Any:
        if isinstance(value, Lines):
            return value.saved()
        return value.saved(raw=raw) if isinstance(value, Items | Messages) else default(value)

    return encode


def _streams(raw: msgspec.Raw) -> dict[str, dict[str, Any]]:
    """The streams of a log group."""
    streams: dict[str, dict[str, Any]] = msgspec.json.decode(raw)
    for stream in streams.values():
        events = stream["events"]
        stream["events"] = Lines.from_saved(events) if isinstance(events, dict) else Lines(events)
    return streams


# By service: where its resources are, and how a large field of a resource is read.
_RESOURCES: dict[str, tuple[str, dict[str, Callable[[msgspec.Raw], Any]]]] = {
    "dynamodb": ("tables", {"items": Items.from_json}),
    "cloudwatch_logs": ("log_groups", {"streams": _streams}),
}


def _resources(raw: msgspec.Raw, fields: Mapping[str, Callable[[msgspec.Raw], Any]], hook: Hook) -> Any:
    scoped = msgspec.json.decode(raw, type=_Scoped)
    data = {
        key: {name: fields[name](part) if name in fields else _value(part, hook) for name, part in resource.items()}
        for key, resource in scoped.data.items()
    }
    return hook({"__account_region_scoped__": True, "data": data})


def _value(raw: msgspec.Raw, hook: Hook) -> Any:
    """A value with the engine's types: read by the slow reader if there may be any below the top."""
    text = bytes(raw)
    count = sum(text.count(mark) for mark in _MARKS)
    if count > 1:
        return json.loads(text, object_hook=hook)
    value = msgspec.json.decode(text)
    if not count:
        return value
    is_top = isinstance(value, dict) and any(json.loads(mark) in value for mark in _MARKS)
    return hook(value) if is_top else json.loads(text, object_hook=hook)
