"""Event loops of async processors, and the watch that finds the processor which blocks one.

All async processors share one loop, which lives as long as the instance, so that their clients can too. A loop that is
blocked, by `time.sleep` or a busy loop in a processor, is left behind with its thread; a new one takes the others.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

    Call = Callable[[], Coroutine[Any, Any, Any]]

_owner: ContextVar[object] = ContextVar("rtp_loop_owner", default=None)
_MISSES = 5  # signs of life in a row that a blocked loop does not give
_SHARE, _MIN, _MAX = 0.1, 0.5, 3.0  # of the function's time; s: how long a loop may be blocked while others wait


class EventLoop:
    """One loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._owners: WeakKeyDictionary[asyncio.Task[Any], object] = WeakKeyDictionary()
        self._loop.set_task_factory(self._task)
        self._thread = threading.Thread(target=self._run, name="rtp-async", daemon=True)
        self._thread.start()

    def submit(self, owner: object, call: Call, gate: asyncio.Semaphore) -> Future[Any]:
        """Start a coroutine once the gate opens. The tasks that it creates have the same owner."""

        async def gated() -> Any:
            async with gate:
                return await call()

        def start() -> Future[Any]:
            _owner.set(owner)
            return asyncio.run_coroutine_threadsafe(gated(), self._loop)

        return copy_context().run(start)

    def sign_of_life(self) -> threading.Event:
        """Ask the loop for one: the event is set as soon as the loop runs callbacks."""
        sign = threading.Event()
        self._loop.call_soon_threadsafe(sign.set)
        return sign

    def running(self) -> object:
        """The owner of the task that the loop runs at this moment; None for none, or for a callback."""
        task = asyncio.current_task(self._loop)
        return None if task is None else self._owners.get(task)

    def place(self, file: str) -> str:
        """Where the loop's thread is: file:line of the innermost frame in `file`, or else of the innermost one."""
        frame = innermost = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None and frame.f_code.co_filename != file:
            frame = frame.f_back
        found = frame or innermost
        return f"{found.f_code.co_filename}:{found.f_lineno}" if found is not None else "an unknown place"

    def leave(self, keep: object = None) -> None:
        """Cancel the tasks of others than `keep` as soon as the loop runs again, and end it after its last task."""
        asyncio.run_coroutine_threadsafe(self._wind_up(keep), self._loop)

    def interrupt(self, error: type[BaseException]) -> None:
        """Raise an error in the loop's thread. It ends a busy loop; a call that does not return stays."""
        import ctypes

        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(error))

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def _task(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
        self._owners[task] = _owner.get()
        return task

    async def _wind_up(self, keep: object) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            if keep is None or self._owners.get(task) is not keep:
                task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._loop.call_soon(self._loop.stop)  # after the callbacks that hand the results over


class Tasks:
    """The async calls of one batch. `pending`: their futures; a call that is moved to a new loop gets a new future."""

    def __init__(
        self, calls: list[tuple[Any, Call]], *, concurrency: int, total: float, file: Callable[[Any], str]
    ) -> None:
        """calls: by owner. concurrency: calls at a time. total: the function's time, s. file: of an owner's code."""
        self._concurrency, self._file = concurrency, file
        self._loop = shared()
        self._calls: dict[Future[Any], tuple[Any, Call]] = {}
        self.seconds = min(_MAX, max(_MIN, total * _SHARE)) / _MISSES  # between two checks
        self.pending: dict[Future[Any], Any] = {}
        self.blockers: dict[int, str] = {}  # place by id() of the owner
        self._left: list[tuple[EventLoop, Any]] = []
        self._start(calls)

    def _start(self, calls: list[tuple[Any, Call]]) -> None:
        gate = asyncio.Semaphore(self._concurrency)
        for owner, call in calls:
            future = self._loop.submit(owner, call, gate)
            self._calls[future] = owner, call
            self.pending[future] = owner
        self._sign, self._misses = self._loop.sign_of_life(), 0

    def check(self) -> None:
        """Look for a sign of life. Of a loop that is blocked, the calls that wait are started on a new one."""
        waiting = [(f, *self._calls[f]) for f, owner in self.pending.items() if id(owner) not in self.blockers]
        if not waiting or self._has_life():
            return
        blocker = self._loop.running()
        # Without a task a callback blocks the loop, or the machine is busy: it gets twice the time.
        if self._misses < (_MISSES if blocker is not None else 2 * _MISSES):
            return
        others = [(future, owner, call) for future, owner, call in waiting if owner is not blocker]
        if not others:
            return  # it harms nobody
        self._leave(blocker)
        moved = []
        for future, owner, call in others:
            if future.cancel():
                del self.pending[future]
                moved.append((owner, call))
        self._start(moved)

    def end(self, error: type[BaseException]) -> None:
        """End the calls that have no result in time: `blockers` has those that block their loop, which is left behind.

        error: raised in the threads of blocked loops.
        """
        for future in self.pending:
            future.cancel()
        if not self._has_life() and not self._sign.wait(self.seconds):
            self._leave(self._loop.running())
        for loop, blocker in self._left:
            if blocker in self.pending.values():
                loop.interrupt(error)

    def _has_life(self) -> bool:
        if not self._sign.is_set():
            self._misses += 1
            return False
        self._sign, self._misses = self._loop.sign_of_life(), 0
        return True

    def _leave(self, blocker: Any) -> None:
        if blocker is not None:
            self.blockers[id(blocker)] = self._loop.place(self._file(blocker))
        self._left.append((self._loop, blocker))
        self._loop.leave(keep=blocker)
        self._loop = shared(instead_of=self._loop)


_shared: EventLoop | None = None


def shared(instead_of: EventLoop | None = None) -> EventLoop:
    """Return the loop of this instance; a new one instead of the one that is left behind."""
    global _shared
    if _shared is None or _shared is instead_of:
        _shared = EventLoop()
    return _shared
