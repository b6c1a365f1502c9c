"""Execution environments are started a few at a time, and requests that wait for one are served in their order."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

AT_ONCE = max(2, os.cpu_count() or 1)  # environments of this engine that start at the same time
PATIENCE_S = 0.1  # the first request in line waits so long for an environment in use, where there are some
_RECHECK_S = 0.1


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    require(lambda_runtime, "_lock", "_workers", "_worker_key")
    starts = Starts(lambda_runtime)
    parameters = "func_name config code_zip qualifier max_concurrency"
    starts.acquire_one = replace(lambda_runtime, "acquire_worker", starts.acquire, parameters)
    starts.release_one = replace(lambda_runtime, "release_worker", starts.release, "worker")
    replace(lambda_svc, "acquire_worker", starts.acquire, parameters)
    replace(lambda_svc, "release_worker", starts.release, "worker")
    for kind, names in ((lambda_runtime.Worker, "self"), (lambda_runtime.ProvidedWorker, "self init_timeout")):
        replace(kind, "_spawn", starts.reported(kind._spawn), names)


PATCH = Patch(
    name="worker_starts",
    aws="Each environment starts on a machine of its own; a burst waits for one start at most.",
    engine=(
        "A burst of 32 requests starts 32 environments on this machine at once. Each takes so long that one request "
        "waits half a minute, while the environments that have started serve all that come later."
    ),
    test="tests/unit/local/test_worker_starts.py::test_few_environments_start_at_once_and_nobody_is_overtaken",
    install=install,
)


class Starts:
    """Leases environments. A request waits while others start, until one is free or may be started.

    It waits briefly for an environment in use: that may be its own caller's. Starts end, so that none waits for ever.
    """

    acquire_one: Any
    release_one: Any

    def __init__(self, runtime: Any, at_once: int = AT_ONCE, patience_s: float = PATIENCE_S) -> None:
        self._runtime = runtime
        self._at_once = at_once
        self._patience_s = patience_s
        self._condition = threading.Condition()
        self._starting: set[int] = set()  # id() of each environment
        self._waiting: dict[Any, deque[object]] = {}  # by function, in order of arrival

    def acquire(
        self,
        func_name: str,
        config: dict[str, Any],
        code_zip: bytes,
        qualifier: str = "$LATEST",
        max_concurrency: int | None = None,
    ) -> Any:
        """Lease an environment that is free, or one to start."""
        key = self._runtime._worker_key(func_name, config, qualifier)
        me = object()
        with self._condition:
            waiting = self._waiting.setdefault(key, deque())
            waiting.append(me)
            try:
                first_since = None
                while True:
                    if waiting[0] is me:
                        now = time.monotonic()
                        first_since = now if first_since is None else first_since
                        if self._may_lease(key, now - first_since):
                            break
                    self._condition.wait(_RECHECK_S)
                worker, how = self.acquire_one(func_name, config, code_zip, qualifier, max_concurrency)
                if how == "spawn":
                    self._starting.add(id(worker))
            finally:
                waiting.remove(me)
                if not waiting:
                    del self._waiting[key]
                self._condition.notify_all()
        return worker, how

    def release(self, worker: Any) -> None:
        """Return an environment, also one that has not started."""
        self.release_one(worker)
        self.started(worker)

    def started(self, worker: Any) -> None:
        """Let others go on: a start has ended, or an environment is free."""
        with self._condition:
            self._starting.discard(id(worker))
            self._condition.notify_all()

    def reported(self, spawn: Callable[..., Any]) -> Callable[..., Any]:
        """The start of an environment, which then counts as started, or as failed."""

        @functools.wraps(spawn)
        def started(worker: Any, *args: Any, **named: Any) -> Any:
            try:
                return spawn(worker, *args, **named)
            finally:
                self.started(worker)

        return started

    def _may_lease(self, key: Any, waited_s: float) -> bool:
        """Whether an environment is free, or one may be started."""
        with self._runtime._lock:
            in_use = [worker.in_use for worker in self._runtime._workers.get(key, ())]
        if not all(in_use):
            return True
        is_patient = len(in_use) < self._at_once or waited_s >= self._patience_s
        return is_patient and len(self._starting) < self._at_once
