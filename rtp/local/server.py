"""The engine process: MiniStack's ASGI app behind rtp's own layers, on one loopback port.

`python -m rtp.local.server FOLDER PORT READY_FD` goes into the background and writes one word to READY_FD:
ready, port-taken or busy. SIGTERM saves all data and ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from rtp.local import process
from rtp.local.state import Folder, Record, try_lock

DEFAULT_PORT = 4566
PORTS_TRIED = 100
LOG_BYTES = 5_000_000
GRACE_S = 2.0  # for requests under way when a stop is asked for


def main(argv: list[str]) -> int:
    """Detach, then serve until told to stop."""
    place, port, ready = Folder(Path(argv[0])), int(argv[1]), int(argv[2])
    if os.fork():
        return 0
    os.setsid()
    os.umask(0o077)
    os.chdir(place.path)
    os.set_inheritable(ready, False)
    hold = (place.path / "serving").open("a")
    if not try_lock(hold.fileno()):
        return _say(ready, "busy")
    listener = _bind(port, place.last_port())
    if listener is None:
        return _say(ready, "port-taken")
    os.environ["GATEWAY_PORT"] = str(listener.getsockname()[1])  # the engine and its functions read it
    _log_to(place)
    asyncio.run(_serve(place, listener, ready))
    hold.close()
    return 0


async def _serve(place: Folder, listener: socket.socket, ready: int) -> None:
    import hypercorn.asyncio
    import hypercorn.config
    import ministack.app

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for name in ("tmp", "home"):
        shutil.rmtree(place.path / name, ignore_errors=True)
    place.create()
    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.accesslog = None
    config.graceful_timeout = GRACE_S
    config.keep_alive_timeout = 75
    lifespan = Lifespan(ministack.app.app)
    await lifespan.startup()
    record = Record(
        os.getpid(), process.started(os.getpid()) or "", listener.getsockname()[1], secrets.token_urlsafe(32)
    )
    listener.listen(1024)  # from here on clients connect, and are answered once the loop below runs
    place.write_record(record)
    _say(ready, "ready")
    with contextlib.suppress(asyncio.CancelledError):  # hypercorn's way to say that the grace was over
        await hypercorn.asyncio.serve(_http_only(ministack.app.app), config, shutdown_trigger=stop.wait)
    await lifespan.shutdown()
    shutil.rmtree(place.tmp, ignore_errors=True)
    place.record_file.unlink(missing_ok=True)


class Lifespan:
    """MiniStack's own startup and shutdown, driven here: hypercorn skips the latter when a client hangs on."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Load what the last stop saved."""
        self._task = asyncio.create_task(self._app({"type": "lifespan"}, self._events.get, self._answers.put))
        await self._events.put({"type": "lifespan.startup"})
        await self._answers.get()

    async def shutdown(self) -> None:
        """Save everything."""
        await self._events.put({"type": "lifespan.shutdown"})
        await self._answers.get()
        if self._task is not None:
            await self._task


def _http_only(app: Any) -> Any:
    async def served(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await app(scope, receive, send)

    return served


def _bind(port: int, last: int | None) -> socket.socket | None:
    """A bound socket: exactly `port` when one is asked for, else the first free one."""
    nearby = range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED)
    for candidate in [port] if port else [*([last] if last else []), *nearby, 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
            listener.listen(0)  # two bound sockets may share a port until one of them listens
        except OSError:
            listener.close()
        else:
            return listener
    return None


def _log_to(place: Folder) -> None:
    handler = logging.handlers.RotatingFileHandler(place.log_file, maxBytes=LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(name)s] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _say(descriptor: int, word: str) -> int:
    os.write(descriptor, word.encode())
    os.close(descriptor)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
