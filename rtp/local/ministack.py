"""MiniStack in this process: imported and patched, started from its last save, saved while it runs and at a stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from rtp.local import moment, saves
from rtp.local.patches import deferred, saving
from rtp.local.patches.install import install_all
from rtp.local.sampling import Clockwork
from rtp.local.saver import Saver
from rtp.local.telemetry import Telemetry
from rtp.local.tracing.daemon import Daemon

if TYPE_CHECKING:
    from rtp.local.keys import Keys
    from rtp.local.state import Folder

log = logging.getLogger("rtp.engine")
DRAIN_S = 5.0  # for invocations under way; longer ones are interrupted, and their messages are delivered again
RESET_S = 10.0  # for the functions to end; everything is saved even if one does not


class MiniStack:
    """MiniStack, with its ASGI lifespan: a server would skip the shutdown while a client stays connected.

    save_every_s: seconds between saves; 0: only a stop saves. Raises PatchError where a patch does not apply.
    """

    def __init__(self, place: Folder, port: int, keys: Keys, save_every_s: float) -> None:
        self.telemetry = Telemetry()
        self.saver = Saver(place, save_every_s, moment.Moment(place.live, place.data, self.telemetry.traces))
        self._place = place
        self._daemon = Daemon(self.telemetry.traces, port)
        os.environ["GATEWAY_PORT"] = str(port)  # read by the engine and its functions
        os.environ["AWS_XRAY_DAEMON_ADDRESS"] = self._daemon.address
        os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = keys
        import ministack.app

        ministack.app.BANNER = "MiniStack on port {port}"
        self.app = ministack.app.app
        self.has_xray = "xray" in ministack.app.SERVICE_HANDLERS
        install_all(self.telemetry)
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def start(self) -> None:
        """Load the last save, and start the periodic tasks."""
        self._daemon.start()
        gc.disable()  # loaded objects stay; collecting repeatedly takes longer than the loading
        self._inner = asyncio.create_task(self.app({"type": "lifespan"}, self._events.get, self._answers.put))
        with deferred.postponed():
            await self._lifespan("startup")
        gc.freeze()
        gc.enable()
        self.telemetry.traces.load_later(self._place.live / moment.TRACES)  # now: it would take time from the start
        self._clockwork = asyncio.create_task(Clockwork(self.telemetry.metrics).run())
        deferred.load_soon()
        self.saver.start()

    async def drain(self) -> None:
        """Start no more batches, and wait for the invocations under way while they can still reach the engine."""
        from ministack.core import lambda_runtime
        from ministack.services import lambda_svc

        lambda_svc._poll_sqs = lambda: False
        log.info("stopping: %d invocations under way", lambda_svc.executions_in_flight()[0])
        deadline = time.monotonic() + DRAIN_S
        while lambda_svc.executions_in_flight()[0] and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        log.info("ending the functions; %d still run", lambda_svc.executions_in_flight()[0])
        await asyncio.to_thread(lambda_runtime.reset)  # requests of functions cannot be cancelled, only answered

    async def stop(self) -> bool:
        """End the functions and save everything; False if a part could not be saved."""
        from ministack.core import lambda_runtime

        log.info("saving")
        await self.saver.close()
        gc.disable()
        self._clockwork.cancel()
        await asyncio.to_thread(deferred.end)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(lambda_runtime.reset), RESET_S)
        moment.without_copies()
        await self._lifespan("shutdown")
        self._daemon.close()
        try:
            self.telemetry.traces.save(self._place.live / moment.TRACES)
            if not saving.failed:
                await asyncio.to_thread(saves.complete, self._place)
        except OSError:
            log.exception("the data could not be saved")
            return False
        return not saving.failed

    async def _lifespan(self, event: str) -> None:
        await self._events.put({"type": f"lifespan.{event}"})
        answer = asyncio.create_task(self._answers.get())
        await asyncio.wait((answer, self._inner), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            self._inner.result()  # raises the error that it ended with
        if answer.result()["type"] != f"lifespan.{event}.complete":
            raise RuntimeError(f"{event}: {answer.result()}")
