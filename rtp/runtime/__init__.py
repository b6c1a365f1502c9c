"""The code that runs in Lambda, and what processors import.

The names are loaded at their first use: commands need a small part of this package, such as the message contract.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.runtime.event import Event
    from rtp.runtime.registry import Reject, processor
    from rtp.runtime.secrets import SecretError, secret

__all__ = ["Event", "Reject", "SecretError", "processor", "secret"]

_MODULES = {
    "Event": "event",
    "Reject": "registry",
    "SecretError": "secrets",
    "processor": "registry",
    "secret": "secrets",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
