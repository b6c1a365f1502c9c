"""CloudFormation is loaded after the engine is ready: it brings every other service, and takes longer than they all.

Without this, an engine that has a stack saved is ready a second later.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from rtp.local.patches import replace, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON_S = 0.3  # a command that starts the engine talks to it first
_lock = threading.RLock()


def when_loaded(name: str, act: Callable[[], object]) -> None:
    """Call `act` once, when the service's module has been loaded and before it is used."""
    import ministack.app

    require(ministack.app, "_loaded_modules", "_state_map", "load_state")

    def get(wanted: str) -> Any:
        if wanted != name or wanted in done:
            return get_one(wanted)
        with _lock:
            if wanted not in done:
                module = get_one(wanted)
                act()
                if wanted in _postponed:
                    _restore(ministack.app, module, wanted)
                done.add(wanted)
        return get_one(wanted)

    done: set[str] = set()
    get_one = replace(ministack.app, "_get_module", get, "name")


@contextlib.contextmanager
def postponed(name: str) -> Iterator[None]:
    """Leave a service's saved state alone while the others load theirs; it is loaded with its module."""
    import ministack.app

    module = ministack.app._state_map.pop(name)
    _postponed.add(name)
    try:
        yield
    finally:
        ministack.app._state_map[name] = module


def soon(name: str) -> None:
    """Load a service in the background, so that nobody waits for it later."""
    import ministack.app

    def load() -> None:
        time.sleep(SOON_S)
        ministack.app._get_module(name)

    threading.Thread(target=load, daemon=True, name=f"rtp-load-{name}").start()


_postponed: set[str] = set()


def _restore(app: Any, module: Any, name: str) -> None:
    saved = app.load_state(name)
    if saved:
        module.load_persisted_state(saved)
