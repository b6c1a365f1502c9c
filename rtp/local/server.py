"""The engine process: MiniStack behind rtp's own layers, on one loopback port.

`python -m rtp.local.server FOLDER_FD PORT READY_FD SAVE_EVERY_S [WEATHER]` forks into the background and writes to
READY_FD: ready, port-taken, busy or the patches that do not apply. It saves all data every SAVE_EVERY_S seconds (0:
never) and at SIGTERM, which ends the process, whatever a request is doing. It works in the folder of the descriptor,
not at a path: the folder may be moved, and its old name reused.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import logging.handlers
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.local import environment, keys, process, saves, stopping
from rtp.local.anchor import anchored
from rtp.local.launch import PATCH_FAILURE
from rtp.local.state import DEFAULT_PORT, Folder, Record
from rtp.local.weather.choice import Weather

if TYPE_CHECKING:
    from types import FrameType

    from rtp.local.asgi import App
    from rtp.local.stuck import Watch

log = logging.getLogger("rtp.engine")
PORTS_TRIED = 100
LOG_BYTES = 5_000_000
GRACE_S = 2.0  # for requests under way at a stop
DRAIN_LIMIT_S = 15.0  # for the functions and the server to end; then everything is saved anyway
END_LIMIT_S = 5.0  # for threads to end after the save


def main(argv: list[str]) -> int:
    """Fork into the background, then serve until a stop is requested."""
    folder, port, ready = map(int, argv[:3])
    save_every_s = float(argv[3])
    weather = Weather.from_json(json.loads(argv[4])) if argv[4:] else None
    if os.fork():
        return 0
    os.setsid()
    os.umask(0o077)
    os.fchdir(folder)
    for descriptor in (folder, ready):
        os.set_inheritable(descriptor, False)
    place = Folder(Path())
    serving = place.serve()
    if serving is None:
        return _answer(ready, "busy")
    listener = _bind(port, place.last_port())
    if listener is None:
        return _answer(ready, "port-taken")
    for leftover in (place.tmp, place.home):
        place.remove(leftover)
    saves.start(place)
    environment.settle(anchored(folder))
    _log_to(place)
    asyncio.run(_serve(place, listener, ready, save_every_s, weather))
    serving.close()
    return 0


async def _serve(
    place: Folder, listener: socket.socket, ready: int, save_every_s: float, weather: Weather | None
) -> None:
    from rtp.local.gateway import wrapped
    from rtp.local.ministack import MiniStack
    from rtp.local.patches.install import PatchError
    from rtp.local.stuck import LIMIT_S, Watch

    stop_requested, watch = asyncio.Event(), Watch(float(os.environ.get("RTP_LOCAL_STUCK_S", LIMIT_S)))
    _install_signal_handlers(stop_requested, watch)
    port, token, key = listener.getsockname()[1], secrets.token_urlsafe(32), keys.generate()
    try:
        engine = MiniStack(place, port, key, save_every_s)
    except PatchError as error:
        log.error("a patch does not apply: %s", error)
        _answer(ready, PATCH_FAILURE + json.dumps(error.reasons))
        return
    await engine.start()
    app = wrapped(
        engine.app,
        engine.telemetry,
        engine.saver,
        port=port,
        token=token,
        access_key_id=key.access_key_id,
        has_xray=engine.has_xray,
        weather=weather,
    )
    listener.listen(1024)  # clients can connect from here on; the loop below answers them
    me = os.getpid(), process.started(os.getpid()) or ""
    enforces = environment.enforces_iam()
    run = Record(*me, port, token, *place.identity(), *key, weather, enforces_iam=enforces, save_every_s=save_every_s)
    place.write_record(run)
    _answer(ready, "ready")

    async def drained() -> None:
        await stop_requested.wait()
        stopping.report(place, "draining")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(engine.drain(), DRAIN_LIMIT_S)

    with watch:
        await _until(stop_requested, asyncio.create_task(_listen(app, listener, drained)))
    stopping.report(place, "saving")
    try:
        if await engine.stop():  # else the next command finds a killed engine with its previous save
            place.record_file.unlink(missing_ok=True)
        place.remove(place.tmp)
    finally:
        stopping.end_soon(END_LIMIT_S)


def _install_signal_handlers(stop_requested: asyncio.Event, watch: Watch) -> None:
    """Handle SIGTERM also while a request blocks the event loop, which asyncio's own handlers would wait for."""
    loop = asyncio.get_running_loop()

    def stop(_number: int, _frame: FrameType | None) -> None:
        watch.hurry()
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(stop_requested.set)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


async def _until(stop_requested: asyncio.Event, serving: asyncio.Task[None]) -> None:
    """Serve until a stop is requested; requests that do not end in time are abandoned."""
    waiting = asyncio.create_task(stop_requested.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({serving}, timeout=2 * DRAIN_LIMIT_S)
    waiting.cancel()
    if serving.done():
        serving.result()
    else:
        log.warning("requests are still being served; saving anyway")


async def _listen(app: App, listener: socket.socket, until: object) -> None:
    import hypercorn.asyncio
    import hypercorn.config

    config = hypercorn.config.Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = logging.getLogger("hypercorn.error")
    config.accesslog = None
    config.graceful_timeout = GRACE_S
    config.keep_alive_timeout = 75
    with contextlib.suppress(asyncio.CancelledError):  # hypercorn raises it when the grace period is over
        await hypercorn.asyncio.serve(app, config, shutdown_trigger=until)  # type: ignore[arg-type]


def _bind(port: int, last: int | None) -> socket.socket | None:
    """A bound socket: on `port` if it is not 0, else on the first free port; None if the port is taken."""
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
    handler = logging.handlers.RotatingFileHandler(place.log_file, maxBytes=LOG_BYTES, backupCount=1, delay=True)
    handler.baseFilename = str(
        place.log_file
    )  # the handler made it absolute; a move of the folder would invalidate that
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(name)s] %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _answer(descriptor: int, text: str) -> int:
    with contextlib.suppress(
        BrokenPipeError
    ):  # the command that started the engine was interrupted; the engine keeps running
        os.write(descriptor, text.encode())
    os.close(descriptor)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
