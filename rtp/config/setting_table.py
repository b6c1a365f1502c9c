"""The table of the settings: for each its default, allowed values and description, from the types of its struct."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec
from msgspec import Meta

from rtp.config.settings import FUNCTIONS, Settings


class Setting(NamedTuple):
    """One setting. allowed: the values that it takes, in words."""

    name: str
    default: Any
    allowed: str
    description: str


@cache
def table(struct: type[msgspec.Struct] = Settings) -> dict[str, Setting]:
    """Return every setting of a struct by name, in the order of its fields."""
    defaults = dict(zip(struct.__struct_fields__, map(_value, struct.__struct_defaults__), strict=True))
    return {name: _setting(name, defaults[name], hint) for name, hint in hints(struct).items()}


def hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the types of a struct's fields with their metadata, in the order of its fields."""
    types = get_type_hints(struct, include_extras=True)
    return {name: types[name] for name in struct.__struct_fields__}


def function_environment(settings: Settings) -> dict[str, str]:
    """Return the environment variables of the settings that the functions read; rtp/runtime/settings.py reads them."""
    return {
        f"RTP_{name.upper()}": str(getattr(settings, name))
        for name, hint in hints(Settings).items()
        if _meta(hint).extra == FUNCTIONS
    }


def is_added(name: str) -> bool:
    """Whether a list of `[env.NAME]` is added to that of `[defaults]`; others replace it."""
    return _has(name, "added")


def is_nested(name: str) -> bool:
    """Whether a setting consists of tables with keys of their own."""
    return _has(name, "nested")


def _has(name: str, mark: str) -> bool:
    hint = hints(Settings).get(name)
    return hint is not None and bool((_meta(hint).extra or {}).get(mark))


def about(setting: Setting) -> str:
    """Describe a setting in one line: meaning, allowed values, default."""
    default = msgspec.to_builtins(setting.default)
    return f"{setting.name}: {setting.description}; {setting.allowed}; default {default!r}."


def _value(default: Any) -> Any:
    """Return the value of a default; a table gets a new one for each struct."""
    return {} if isinstance(default, msgspec._core.Factory) else default


def _setting(name: str, default: Any, hint: Any) -> Setting:
    meta = _meta(hint)
    return Setting(name, default, _allowed(_required(hint).__origin__, meta), meta.description or "")


def _required(hint: Any) -> Any:
    """Return X of `X | None`."""
    return next((h for h in get_args(hint) if hasattr(h, "__metadata__")), hint)


def _meta(hint: Any) -> Meta:
    meta: Meta = _required(hint).__metadata__[0]
    return meta


def _allowed(kind: Any, meta: Meta) -> str:
    if meta.extra and "allowed" in meta.extra:
        return str(meta.extra["allowed"])
    if kind is bool:
        return "true or false"
    if kind is int:
        return f"a whole number from {meta.ge:,} to {meta.le:,}"
    return "one of " + ", ".join(str(value) for value in get_args(kind))
