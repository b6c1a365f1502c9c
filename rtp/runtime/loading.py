"""Find, import and check the user's processors."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from rtp.runtime import logs
from rtp.runtime.registry import ProcessorError

if TYPE_CHECKING:
    from rtp.runtime.registry import Registry


def load(module: str, registry: Registry) -> None:
    """Import the processors of a function. A failure is kept in the registry: events fail with it, and come again."""
    if not module:
        return
    try:
        importlib.import_module(module)
        registry.failure = None
    except BaseException as error:
        sys.modules.pop(module, None)
        registry.failure = ProcessorError(f"{module} cannot be imported: {type(error).__name__}: {error}")
        logs.error("load", str(registry.failure), stack=logs.stack(error))
