"""What a patch of the engine is, and how it replaces a function of the imported package; files are never changed."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

QUEUE_PAUSE = "RTP_LOCAL_QUEUE_PAUSE_S"  # an environment variable: seconds in place of SQS's 60; see queue_limits
WITHOUT = "RTP_LOCAL_WITHOUT"  # an environment variable: names of patches to leave out, separated by commas


@dataclass(frozen=True, slots=True)
class Patch:
    """One correction of the engine; a row of docs/patches.md.

    name: what RTP_LOCAL_WITHOUT calls it. aws: how AWS behaves. engine: how MiniStack behaves without the patch.
    test: the test that shows the fault without it; for a speed patch, the test that it changes no result.
    install: replaces the engine's functions. Raises MismatchError.
    """

    name: str
    aws: str
    engine: str
    test: str
    install: Callable[[Telemetry], None]
    kind: Literal["behaviour", "speed"] = "behaviour"


class MismatchError(Exception):
    """The installed engine is not the one that a patch was written for."""


def replace(module: Any, name: str, new: Any, parameters: str) -> Any:
    """Replace a function and return the old one. Raises MismatchError unless it takes exactly these parameters."""
    old = getattr(module, name, None)
    if old is None:
        raise MismatchError(f"{module.__name__} has no {name}")
    actual = " ".join(inspect.signature(old).parameters)
    if actual != parameters:
        raise MismatchError(f"{module.__name__}.{name} takes ({actual}) and not ({parameters})")
    setattr(module, name, new)
    return old


def require(module: Any, *names: str) -> None:
    """Check that a module has the names that a patch uses. Raises MismatchError."""
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise MismatchError(f"{module.__name__} has no {', '.join(missing)}")
