"""Patches of the engine, one module each: what is wrong, how it is corrected, and a check that the patch still fits.

A patch replaces a function of the imported package, never a file. It is put in only where the function has the
parameters that it was written for; elsewhere the engine runs without it and says so in its log.
tests/local/engine/test_patches.py shows for each that the fault is still there without it: RTP_LOCAL_WITHOUT, in the
engine's own environment, names patches to leave out.
"""

from __future__ import annotations

import inspect
import logging
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.local.telemetry import Telemetry

log = logging.getLogger("rtp.patches")
WITHOUT = "RTP_LOCAL_WITHOUT"


class MismatchError(Exception):
    """The engine is not the one that a patch was written for."""


def apply_all(telemetry: Telemetry) -> list[str]:
    """Put every patch in; the names of those that no longer fit."""
    from rtp.local.patches import (
        alarms,
        api_gateway,
        copies,
        credentials,
        downloads,
        event_source,
        folder_paths,
        function_logs,
        invocations,
        later,
        message_moves,
        metric_math,
        queue_urls,
        queues,
        request_validators,
        saving,
        send_trace,
        stack_buckets,
        statements,
        usage,
        user_regexes,
        worker,
    )

    patches: dict[str, Callable[[], object]] = {
        "worker": worker.apply,
        "queues": lambda: message_moves.apply(queues.apply(telemetry)),
        "queue_urls": queue_urls.apply,
        "send_trace": send_trace.apply,
        "invocations": lambda: invocations.apply(telemetry),
        "event_source": lambda: event_source.apply(telemetry),
        "function_logs": function_logs.apply,
        "api_gateway": lambda: api_gateway.apply(telemetry),
        "usage": usage.apply,
        "alarms": alarms.apply,
        "saving": saving.apply,
        "folder_paths": folder_paths.apply,
        "statements": statements.apply,
        "copies": copies.apply,
        "user_regexes": user_regexes.apply,
        "credentials": credentials.apply,
        "downloads": downloads.apply,
    }
    when_cloudformation_is_loaded: dict[str, Callable[[], object]] = {
        "request_validators": request_validators.apply,
        "callbacks": downloads.apply_to_callbacks,
        "metric_math": metric_math.apply,
        "stack_buckets": stack_buckets.apply,
    }
    later.when_loaded("cloudformation", lambda: _put_in(when_cloudformation_is_loaded))
    return _put_in(patches)


def _put_in(patches: Mapping[str, Callable[[], object]]) -> list[str]:
    misfits = []
    left_out = os.environ.get(WITHOUT, "").split(",")
    for name, put_in in patches.items():
        if name in left_out:
            continue
        try:
            put_in()
        except MismatchError as error:
            log.warning("left out %s: %s", name, error)
            misfits.append(name)
    return misfits


def replace(module: Any, name: str, new: Any, parameters: str) -> Any:
    """Put `new` in the place of a function that takes exactly these parameters; the old one is returned."""
    old = getattr(module, name, None)
    if old is None:
        raise MismatchError(f"{module.__name__} has no {name}")
    found = " ".join(inspect.signature(old).parameters)
    if found != parameters:
        raise MismatchError(f"{module.__name__}.{name} takes ({found}) and not ({parameters})")
    setattr(module, name, new)
    return old


def require(module: Any, *names: str) -> None:
    """Names that a patch uses must be there."""
    missing = [name for name in names if not hasattr(module, name)]
    if missing:
        raise MismatchError(f"{module.__name__} has no {', '.join(missing)}")
