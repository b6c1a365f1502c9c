"""Saving and loading: fast, and only services that have state."""

from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rtp.local import saved_state
from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.local.telemetry import Telemetry

log = logging.getLogger("rtp.saving")
failed: list[str] = []  # services whose state could not be written, and why: half a state is worse than none


def install(_: Telemetry) -> None:
    """Install the patch."""
    import ministack.app
    from ministack.core import persistence

    require(persistence, "STATE_DIR", "_state_format_version", "_json_default", "_json_object_hook", "load_state")
    replace(persistence, "save_state", save, "service data")
    replace(ministack.app, "save_all", save_all, "services")

    def load(service: str) -> Any:
        """A service's saved state, or None."""
        if service in saved_state.LARGE and persistence.PERSIST_STATE:
            known = persistence._state_format_version(service)
            path = Path(persistence.STATE_DIR) / f"{service}.json"
            with contextlib.suppress(saved_state.UnknownFormatError, FileNotFoundError):
                return saved_state.load(service, path.read_bytes(), known, persistence._json_object_hook)
        return load_one(service)

    load_one = replace(ministack.app, "load_state", load, "service")


PATCH = Patch(
    name="saving",
    aws="-",
    engine=(
        "A stop encodes and a start decodes everything in Python, at a tenth of the speed. A service whose state "
        "could not be written is not reported. Each of the ninety services that a deploy has imported leaves an empty "
        "file, for which the next start imports it again."
    ),
    test="tests/local/engine/test_patches.py::test_a_service_without_state_is_not_saved",
    install=install,
)


def save_all(services: Mapping[str, Callable[[], Any]]) -> None:
    """Write every service's state; one without state has not been used, and its saved state stays."""
    for service, state_of in services.items():
        try:
            data = state_of()
        except Exception as error:
            log.exception("%s gave no state to save", service)
            failed.append(f"{service}: {error}")
            continue
        if data is not None:
            save(service, data)


def save(service: str, data: dict[str, Any]) -> None:
    """Write one service's state atomically; an empty state leaves no file."""
    from ministack.core import persistence

    path = Path(persistence.STATE_DIR) / f"{service}.json"
    if is_empty(data):
        path.unlink(missing_ok=True)
        return
    version = saved_state.version(service, persistence._state_format_version(service))
    wrapped = {"__ministack_format__": version, "payload": data}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    try:
        draft.write_bytes(encoded(service, wrapped, persistence._json_default))
        draft.replace(path)
    except (OSError, TypeError, ValueError) as error:
        log.exception("%s could not be saved", service)
        failed.append(f"{service}: {(error.strerror if isinstance(error, OSError) else None) or error}")
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def encoded(service: str, state: dict[str, Any], default: Callable[[Any], Any]) -> bytes:
    """A state as JSON. default: for values of other types."""
    if service in saved_state.LARGE:
        # A tenth of the time, and in one step, so that no thread changes the data meanwhile.
        with contextlib.suppress(TypeError, ValueError):  # half a surrogate pair, or a key that is no text
            return msgspec.json.Encoder(enc_hook=saved_state.encoder(default, raw=True)).encode(state)
    return json.dumps(state, default=saved_state.encoder(default, raw=False)).encode()


def is_empty(value: Any) -> bool:
    """Whether a state has no resources, whatever its parts are called."""
    scoped = getattr(value, "_data", None)  # the engine's dictionaries by account and region
    if scoped is not None:
        return not scoped
    if isinstance(value, dict):
        return all(is_empty(part) for part in value.values())
    return not value
