"""CloudFormation is loaded once the engine is ready: it imports all other services, and takes longer than they do."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.local.telemetry import Telemetry

SERVICE = "cloudformation"
# Of CloudFormation's modules in the MiniStack that the patches are written for; see `fingerprint`.
FINGERPRINT = "d7feab616fbd9db5e34ea024b247d4a5d3961ad79ccbddbec79f7fb840fbca8c"
# The finders of modules that an interpreter has; another one may change what it imports.
_FINDERS = ("_frozen_importlib", "_frozen_importlib_external", "_distutils_hack", "six", "__editable__")
_DELAY_S = 0.3  # the command that starts the engine sends its requests first
_END_S = 10.0  # for a load that is under way when the engine stops; it takes about a second
_lock = threading.RLock()
_is_ending = threading.Event()
_loaded = threading.Event()
_on_load: list[Callable[[], object]] = []
_LOADER = f"rtp-load-{SERVICE}"
log = logging.getLogger("rtp.patches")


def install(_: Telemetry) -> None:
    """Install the patch."""
    import ministack.app

    require(ministack.app, "_loaded_modules", "_state_map", "_ErrorModule", "load_state")
    is_loaded = False

    def get(name: str) -> Any:
        nonlocal is_loaded
        if name == SERVICE and not is_loaded:
            with _lock:
                if not is_loaded:
                    _load(ministack.app, original(name))
                    is_loaded = True
                    _loaded.set()
        return original(name)

    original = replace(ministack.app, "_get_module", get, "name")


PATCH = Patch(
    name="deferred",
    aws="-",
    engine="An engine that has a stack saved is ready a second later.",
    test="tests/local/engine/test_patches.py::test_a_saved_stack_is_restored_with_and_without_deferred_loading",
    install=install,
    kind="speed",
)


def is_known() -> bool:
    """Whether CloudFormation is the one that its patches are written for, so that they need no check at the start."""
    finders = [str(getattr(finder, "__module__", "")) for finder in sys.meta_path]
    return all(module.startswith(_FINDERS) for module in finders) and fingerprint() == FINGERPRINT


def fingerprint() -> str:
    """A digest of the files of CloudFormation's modules, without importing them; empty if there are none."""
    spec = importlib.util.find_spec(f"ministack.services.{SERVICE}")
    folders = spec.submodule_search_locations if spec is not None else None
    digest = hashlib.sha256()
    for file in sorted(file for folder in folders or () for file in Path(folder).glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest() if folders else ""


def is_loaded() -> bool:
    """Whether CloudFormation has its saved state."""
    return _loaded.is_set() or not _on_load


def when_loaded(act: Callable[[], object]) -> None:
    """Call `act` once CloudFormation is loaded, before it is used and before its state is restored."""
    _on_load.append(act)


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Leave CloudFormation's saved state alone while the others load theirs, if its loading is deferred."""
    import ministack.app

    if not _on_load:
        yield
        return
    module = ministack.app._state_map.pop(SERVICE)
    try:
        yield
    finally:
        ministack.app._state_map[SERVICE] = module


def load_soon() -> None:
    """Load CloudFormation in the background, so that no request waits for it later."""
    import ministack.app

    def load() -> None:
        if not _is_ending.wait(_DELAY_S):
            ministack.app._get_module(SERVICE)

    threading.Thread(target=load, daemon=True, name=_LOADER).start()


def end() -> None:
    """Begin to load no more, and wait for a load under way: modules write files into the engine's folder."""
    _is_ending.set()
    for thread in threading.enumerate():
        if thread.name == _LOADER:
            thread.join(_END_S)


def _load(app: Any, module: Any) -> None:
    """Patch CloudFormation and restore its state. Where that fails the service refuses requests; its save stays."""
    try:
        for act in _on_load:
            act()
    except Exception as error:
        log.exception("CloudFormation cannot be used")
        app._loaded_modules[SERVICE] = app._ErrorModule(SERVICE, str(error))
        return
    saved = app.load_state(SERVICE)
    if saved:
        module.load_persisted_state(saved)
