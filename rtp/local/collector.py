"""What Python's garbage collector looks at in the engine: the objects since the last full collection alone.

A full collection reads every object there is: the more is stored, the longer takes the request that sets one off, and
after the fork of a save the memory that is read is copied. What has survived one is frozen and not read again. What is
stored has no cycles, so that it is freed without the collector when it is deleted.
"""

from __future__ import annotations

import gc

_OLDEST = 2  # the generation whose collection is a full one


def start() -> None:
    """Freeze what is loaded, and from now on what survives a full collection."""
    gc.freeze()
    gc.enable()
    if _freeze not in gc.callbacks:
        gc.callbacks.append(_freeze)


def stop() -> None:
    """Collect no more, because the process ends."""
    gc.disable()
    if _freeze in gc.callbacks:
        gc.callbacks.remove(_freeze)


def _freeze(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == _OLDEST:
        gc.freeze()
