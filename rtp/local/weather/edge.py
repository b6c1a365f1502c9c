"""ASGI middleware that applies the effects to every call of AWS's API."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rtp.local import addresses
from rtp.local.door import ADMIN, OPEN
from rtp.local.weather import connection
from rtp.local.weather.call import Call, Response
from rtp.local.weather.catalogue import chosen
from rtp.local.weather.faults import Budget
from rtp.local.weather.operations import identify
from rtp.local.weather.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from rtp.local.asgi import App, Receive, Scope, Send
    from rtp.local.weather.choice import Weather

log = logging.getLogger("rtp.weather")


class Edge:
    """The weather between the door and the engine. Health, the engine's own paths and callbacks have none."""

    def __init__(self, app: App, weather: Weather) -> None:
        self._app = app
        self._effects = [kind(weather.seed) for kind in chosen(weather.effects)]
        self._budget = Budget()
        self._tokens = Tokens()
        for effect in self._effects:
            effect.install()
        log.info("weather of seed %d: %s", weather.seed, ", ".join(effect.name for effect in self._effects))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or path in OPEN or path.startswith(ADMIN) or addresses.is_issued(path):
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        service, operation, protocol, params = identify(scope, headers, body)

        async def engine(scope: Scope, body: bytes) -> Response:
            return await _response(self._app, scope, body, receive)

        call = Call(service, operation, protocol, params, scope, body, engine, self._budget, headers)
        await _send(send, scope["method"], await self._respond(call))

    async def _respond(self, call: Call) -> Response:
        response = None
        for effect in self._effects:
            response = await effect.before(call)
            if response is not None:
                log.info("%s: %s %s", effect.name, call.service, call.operation)
                break
        if response is None:
            response = await self._tokens.send(call)
        for effect in reversed(self._effects):
            changed = await effect.after(call, response)
            if changed is not response and effect.is_logged:
                log.info("%s: %s %s", effect.name, call.service, call.operation)
            response = changed
        return response


async def _whole(receive: Receive) -> bytes | None:
    """The body of the request; None if the client has gone."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _response(app: App, scope: Scope, body: bytes, receive: Receive) -> Response:
    """The engine's whole response. receive: the client's connection, once the body is read."""
    status, headers = 500, ()
    parts: list[bytes] = []
    is_read = False

    async def replay() -> MutableMapping[str, Any]:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def collect(message: MutableMapping[str, Any]) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], tuple(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, replay, collect)
    return Response(status, headers, b"".join(parts))


async def _send(send: Send, method: str, response: Response) -> None:
    if response.cut is not None and response.cut < 0:
        connection.reset()
        return
    headers = list(response.headers)
    if method != "HEAD" and not any(name.lower() == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.cut is not None:
        await send({"type": "http.response.body", "body": response.body[: response.cut], "more_body": True})
        connection.reset()
        return
    await send({"type": "http.response.body", "body": response.body})
