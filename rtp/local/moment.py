"""The engine's data at one moment: when it can be taken, and how the forked child of a save writes it."""

from __future__ import annotations

import copy
import shutil
import sys
import threading
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.local import saves
from rtp.local.message_list import with_lists
from rtp.local.patches import deferred, saving

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.tracing.store import TraceStore

STATE = "state"
TRACES = "traces.jsonl.gz"
_BLOBS = f"{STATE}/lambda-blobs"
_LOCKS = (type(threading.Lock()), type(threading.RLock()))
_WITH_LOCKS = ("ministack.services.", "rtp.local.patches.")
_WAITING = "REVIEW_IN_PROGRESS"  # a stack with a change set that nobody executes


class Moment:
    """The data of this process; a `rtp.local.saver.Source`."""

    def __init__(self, live: Path, data: Path, traces: TraceStore) -> None:
        self._live = live
        self._data = data
        self._traces = traces

    def locks(self) -> list[Any]:
        """The locks of the services, and of the traces. A thread that has one of them is changing something."""
        modules = [module for name, module in list(sys.modules.items()) if name.startswith(_WITH_LOCKS)]
        values = (value for module in modules for value in list(vars(module).values()))
        unique = {id(value): value for value in values if isinstance(value, _LOCKS)}
        return [*unique.values(), self._traces.lock]

    def is_changing(self) -> bool:
        """Whether data is being loaded, or CloudFormation changes a stack: neither is resumed after a restore."""
        if not deferred.is_loaded() or not self._traces.is_loaded:
            return True
        from ministack.services import cloudformation

        statuses = [str(stack.get("StackStatus")) for stack in list(cloudformation._stacks._data.values())]
        return any(status.endswith("_IN_PROGRESS") and status != _WAITING for status in statuses)

    def write(self, check: Callable[[], None]) -> None:
        """Write everything except S3's files to the current folder. Raises OSError if a part could not be written."""
        import ministack.app
        from ministack.core import persistence
        from ministack.services import lambda_svc

        live, data = (Path("..", folder.name) for folder in (self._live, self._data))
        # Keys in files, the states of services that are not used, and archives of functions that a save has already.
        ignored = shutil.ignore_patterns("*.new", "*.tmp", "*.lock")
        for folder, name in ((live, STATE), (data, _BLOBS)):
            if (folder / name).is_dir():
                shutil.copytree(folder / name, name, copy_function=_link_once, ignore=ignored, dirs_exist_ok=True)
        check()
        persistence.STATE_DIR, lambda_svc.CODE_BLOB_DIR = STATE, _BLOBS
        without_copies()  # this process is a copy, which nothing else changes
        saving.failed.clear()
        saving.save_all(ministack.app._build_persistence_save_dict())
        if saving.failed:
            raise OSError("; ".join(saving.failed))
        check()
        self._traces.save(Path(TRACES))
        check()


def without_copies() -> None:
    """Let the services give their data itself to a save, not copies; only where nothing changes it any more."""
    from ministack.core import persistence
    from ministack.services import dynamodb

    vars(copy)["deepcopy"] = _itself
    vars(persistence)["_json_default"] = with_lists(persistence._json_default)
    vars(dynamodb)["copy"] = types.SimpleNamespace(deepcopy=_itself)


def _itself(value: Any, _memo: object = None) -> Any:
    return value


def _link_once(source: str, target: str) -> None:
    if not Path(target).exists():
        saves.link(source, target)
