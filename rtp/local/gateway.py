"""The middleware in front of MiniStack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rtp.local import environment
from rtp.local.admission import Admission
from rtp.local.door import SAVES_PATH, Door, values
from rtp.local.time_limit import TimeLimit
from rtp.local.tracing import header
from rtp.local.tracing.api import XRayApi

if TYPE_CHECKING:
    from rtp.local.asgi import App, Receive, Scope, Send
    from rtp.local.saver import Saver
    from rtp.local.telemetry import Telemetry
    from rtp.local.weather.choice import Weather

RESET_PATH = "/_ministack/reset"
_ADMIN = "/_ministack/"


def wrapped(  # noqa: PLR0913 - each a part of the engine
    engine: App,
    telemetry: Telemetry,
    saver: Saver,
    *,
    port: int,
    token: str,
    access_key_id: str,
    has_xray: bool,
    weather: Weather | None = None,
) -> App:
    """The engine behind access control and a time limit, with X-Ray if it has none.

    weather: makes the engine answer as AWS does on a bad day.
    """
    inner: App = Context(engine, telemetry, saver)
    if not has_xray:
        inner = XRayApi(inner, telemetry.traces)
    if weather is not None:
        from rtp.local.weather import connection
        from rtp.local.weather.edge import Edge

        connection.install()
        inner = Edge(inner, weather)
    return TimeLimit(Door(inner, Admission(), port=port, token=token, access_key_id=access_key_id))


class Context:
    """Sets the trace that a request belongs to, and deletes telemetry and the saves when the engine is reset.

    It also answers why the latest save failed.
    """

    def __init__(self, app: App, telemetry: Telemetry, saver: Saver) -> None:
        self._app = app
        self._telemetry = telemetry
        self._saver = saver
        # With AUTH=true the engine enforces policies, also those that require TLS; loopback counts as TLS.
        self._auth = environment.enforces_iam()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. The server's lifespan ends here; MiniStack drives the engine's."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] == "http":
            given = values(scope["headers"], header.NAME.encode())
            header.current.set(header.parse(given[0]) if given else None)
            if self._auth:
                scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
            if scope["path"] == RESET_PATH and scope["method"] == "POST":
                self._telemetry.clear()
                async with self._saver.resetting():
                    await self._app(scope, receive, send)
                return
            if scope["path"] == SAVES_PATH:
                await _send_json(send, {"error": self._saver.error})
                return
            if not scope["path"].startswith(_ADMIN):
                await self._counted(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._saver.count_request()
        try:
            await self._app(scope, receive, send)
        finally:  # also what it changes last is saved
            self._saver.count_request()


async def _send_json(send: Send, document: dict[str, str]) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
