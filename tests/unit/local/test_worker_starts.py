"""A burst of requests starts a few environments at a time, and none of the requests is left behind."""

from __future__ import annotations

import threading
from typing import Any

from rtp.local.patches.worker_starts import Starts

WAIT_S = 180.0


class Runtime:
    """Environments as MiniStack has them: a list by function, each in use or not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[str, list[Any]] = {}

    def _worker_key(self, func_name: str, _config: Any, _qualifier: str) -> str:
        return func_name

    def acquire(self, func_name: str, *_: Any) -> Any:
        with self._lock:
            workers = self._workers.setdefault(func_name, [])
            for worker in workers:
                if not worker.in_use:
                    worker.in_use = True
                    return worker, "reused"
            workers.append(Environment())
            return workers[-1], "spawn"

    def release(self, worker: Environment) -> None:
        with self._lock:
            worker.in_use = False


class Environment:
    def __init__(self) -> None:
        self.in_use = True


def leasing(at_once: int) -> tuple[Starts, Runtime]:
    runtime = Runtime()
    starts = Starts(runtime, at_once)
    starts.acquire_one, starts.release_one = runtime.acquire, runtime.release
    return starts, runtime


def test_few_environments_start_at_once_and_nobody_is_overtaken() -> None:
    # Given a burst of requests, each of which waits until its environment has started
    starts, runtime = leasing(2)
    lock, starting, most, served = threading.Lock(), 0, 0, 0
    go_on = threading.Event()

    def request() -> None:
        nonlocal starting, most, served
        worker, how = starts.acquire("f", {}, b"")
        if how == "spawn":
            with lock:
                starting += 1
                most = max(most, starting)
            go_on.wait(WAIT_S)
            with lock:
                starting -= 1
            starts.started(worker)
        starts.release(worker)
        with lock:
            served += 1

    threads = [threading.Thread(target=request, daemon=True) for _ in range(32)]
    for thread in threads:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(WAIT_S)
    # Then
    assert (served, most <= 2) == (32, True)
    assert not any(worker.in_use for worker in runtime._workers["f"])


def test_a_function_that_invokes_itself_gets_an_environment_of_its_own() -> None:
    starts, _ = leasing(1)
    leased = []
    for _ in range(16):  # each by the one before, which stays in use
        worker, how = starts.acquire("f", {}, b"")
        assert how == "spawn"
        starts.started(worker)
        leased.append(worker)
    for worker in leased:
        starts.release(worker)
    assert starts.acquire("f", {}, b"")[1] == "reused"


def test_an_environment_that_never_started_leaves_its_place_to_others() -> None:
    starts, _ = leasing(1)
    worker, _how = starts.acquire("f", {}, b"")
    got = threading.Event()

    def other() -> None:
        starts.acquire("g", {}, b"")
        got.set()

    threading.Thread(target=other, daemon=True).start()
    assert not got.is_set()
    starts.release(worker)
    assert got.wait(WAIT_S)
