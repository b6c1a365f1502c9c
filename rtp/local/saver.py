"""Saves the engine's data again and again while it serves requests, so that a kill loses seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rtp.local import save_child, saves, snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from rtp.local.save_child import Child
    from rtp.local.state import Folder

log = logging.getLogger("rtp.saving")
SHARE = 20  # the pause after a save is at least so many times its processor time: at most a twentieth of one core
LIMIT_S = 600.0  # of one save
LOCK_LIMIT_S = 5.0
_POLL_S = 0.05
_BUSY_POLL_S = 0.5


class PostponedError(Exception):
    """A save cannot begin now."""


class SaveError(Exception):
    """A save failed. details: for the log."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.details = details


class Source(Protocol):
    """The data that a Saver saves."""

    def locks(self) -> Sequence[Any]:
        """Those that guard the data against threads; they are held at the moment of the save."""

    def is_changing(self) -> bool:
        """Whether something is going on that could not be resumed, so that no save may begin."""

    def write(self, check: Callable[[], None]) -> None:
        """Write everything except S3's files to the current folder, in the child.

        check: to be called again and again; raises to end the writing.
        """


class Saver:
    """Runs on the engine's event loop.

    A save is the engine at one moment: the loop is held while a child is forked, and the child writes a draft, which
    replaces the last save when it is complete. cost_s: processor time of the latest save. error: why it failed, empty
    if it did not; in memory alone, because the disk may be full.
    """

    def __init__(self, place: Folder, every_s: float, source: Source) -> None:
        self._place = place
        self._every_s = every_s
        self._source = source
        self._requests = self._saved_requests = 0
        self._saving = asyncio.Lock()
        self._pauses = 0
        self.cost_s = 0.0
        self.error = ""
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Save every `every_s` seconds, or never if that is 0."""
        if self._every_s:
            self._task = asyncio.create_task(self._run())

    def count_request(self) -> None:
        """Note that a request begins or ends, so that there may be something to save."""
        self._requests += 1

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Within it no save begins; one that is being written is dropped before."""
        self._pauses += 1
        try:
            self._drop()
            async with self._saving:
                yield
        finally:
            self._pauses -= 1

    @contextlib.asynccontextmanager
    async def resetting(self) -> AsyncIterator[None]:
        """Delete all saves; within it no save begins."""
        async with self.paused():
            await asyncio.to_thread(saves.discard, self._place)
            yield

    async def close(self) -> None:
        """End the saves; one that is being written is dropped."""
        self._pauses += 1
        self._drop()
        async with self._saving:
            pass
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        pause_s = self._every_s
        while True:
            await asyncio.sleep(pause_s)
            while self._requests == self._saved_requests or self._source.is_changing():
                await asyncio.sleep(min(_BUSY_POLL_S, self._every_s))
            began = time.monotonic()
            try:
                await self.save()
            except Exception:  # a fault of one save must not end the next ones
                log.exception("a save failed")
            pause_s = pause_after(self._every_s, self.cost_s, time.monotonic() - began)

    async def save(self) -> bool:
        """Save once. False if it failed, which is logged, or was dropped."""
        async with self._saving:
            is_complete = False
            try:
                is_complete = await self._save()
            except PostponedError:
                pass
            except (OSError, SaveError) as error:
                self._report(error)
            if not is_complete:
                await asyncio.to_thread(self._place.remove, self._place.draft)
            return is_complete

    async def _save(self) -> bool:
        began, requests = time.monotonic(), self._requests
        await asyncio.to_thread(saves.begin, self._place)
        files = snapshot.Snapshot(self._place.live / "s3", self._place.draft / "s3")
        self._child, at, waited_s = await self._fork(files)
        try:
            code, text, cost_s = await _end_of(self._child)
        finally:
            self._child = snapshot.current = None
        self.cost_s = cost_s + waited_s
        if self._pauses:
            return False
        if code:
            reason, _, details = text.partition("\n")
            raise SaveError(reason or f"its process ended with {code}", details)
        if files.error is not None:
            raise files.error
        await asyncio.to_thread(self._complete, files, at)
        self._saved_requests = requests
        took_s = time.monotonic() - began
        log.info("saved in %.1f s, %.1f of the processor; requests waited for %.0f ms", took_s, cost_s, waited_s * 1000)
        return True

    async def _fork(self, files: snapshot.Snapshot) -> tuple[Child, datetime, float]:
        """Fork at a moment at which no thread changes the data; the child, the time, and seconds without requests.

        Raises PostponedError, and SaveError if there is no such moment.
        """
        locks = self._source.locks()
        deadline = time.monotonic() + LOCK_LIMIT_S
        while True:
            began = time.monotonic()
            if self._pauses or self._source.is_changing():
                raise PostponedError
            acquired = _acquired(locks)
            try:
                if len(acquired) == len(locks):
                    with files.lock:  # a thread that is about to change a file waits for the fork
                        snapshot.current = files
                        child = save_child.fork(self._write, acquired)
                    return child, datetime.now(UTC), time.monotonic() - began
            except OSError:
                snapshot.current = None
                raise
            finally:
                for lock in acquired:
                    lock.release()
            if began > deadline:
                raise SaveError(f"a lock of the data was not free within {LOCK_LIMIT_S:g} s")
            await asyncio.sleep(_POLL_S)

    def _write(self, check: Callable[[], None]) -> None:
        """Write the draft and flush it; in the child."""
        # All paths are relative to the draft: once it is removed, nothing more can be written to one of its name.
        live, data = (Path("..", folder.name) for folder in (self._place.live, self._place.data))
        os.chdir(self._place.draft)
        self._source.write(check)
        snapshot.collect(live / "s3", Path("s3"), check)
        saves.flush(Path(), data)
        check()

    def _complete(self, files: snapshot.Snapshot, at: datetime) -> None:
        saves.complete_draft(self._place, at, files.remove_created())
        self.error = ""

    def _report(self, error: OSError | SaveError) -> None:
        if self._pauses:
            return
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        log.error("a save failed: %s", reason)
        if isinstance(error, SaveError) and error.details:
            log.error("%s", error.details)
        self.error = reason

    def _drop(self) -> None:
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)  # not reaped yet, so the pid is the child's


def pause_after(every_s: float, cost_s: float, duration_s: float) -> float:
    """Seconds from the end of a save to the next one. cost_s: processor time of the save."""
    return max(every_s, SHARE * cost_s, duration_s)


def _acquired(locks: Sequence[Any]) -> list[Any]:
    """The locks, acquired; fewer if one of them is not free."""
    acquired: list[Any] = []
    for lock in locks:
        if not lock.acquire(blocking=False):
            break
        acquired.append(lock)
    return acquired


async def _end_of(child: Child) -> tuple[int, str, float]:
    """Exit code and report of the child, and the seconds of processor time that it took; killed after LIMIT_S."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    parts: list[bytes] = []

    def read() -> None:
        chunk = os.read(child.report, 65536)
        parts.append(chunk)
        if not chunk and not ended.done():
            ended.set_result(None)

    loop.add_reader(child.report, read)
    try:
        async with asyncio.timeout(LIMIT_S):
            await ended
    except TimeoutError:
        parts = [f"it was not written within {LIMIT_S:g} s".encode()]
    finally:
        loop.remove_reader(child.report)
        os.close(child.report)
        if not ended.done() or ended.cancelled():
            os.kill(child.pid, signal.SIGKILL)
        _, status, usage = os.wait4(child.pid, 0)
    text = b"".join(parts).decode(errors="replace")
    return os.waitstatus_to_exitcode(status), text, usage.ru_utime + usage.ru_stime
