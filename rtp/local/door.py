"""The door of the engine: only programs of this machine that mean it get in, and web pages never do.

The engine has no users and runs code it is given, so a page in a browser must not reach it: not by a rebound
name (Host), not from its own origin (Origin, Sec-Fetch-Site), and its admin paths only with the run's token.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

TOKEN_HEADER = "X-Rtp-Token"  # noqa: S105 - a header's name
HOSTS = ("127.0.0.1", "localhost")
ADMIN = ("/_ministack", "/_localstack", "/_rtp")
OPEN = ("/_ministack/health", "/_localstack/health", "/_ministack/ready")
# Addresses that the engine itself hands out, with an unguessable part, to those who are to use them.
HANDED_OUT = {
    "GET": ("/_ministack/lambda-code/", "/_ministack/lambda-layers/"),
    "PUT": ("/_ministack/cfn-response/", "/_ministack/cfn-signal/"),
}


class Door:
    """ASGI middleware that answers 403 to whom it does not let in."""

    def __init__(self, app: App, *, port: int, token: str) -> None:
        self._app = app
        self._port = port
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it with a reason."""
        if scope["type"] in ("http", "websocket"):
            refusal = self._refusal(scope)
            if refusal:
                await refuse(scope, receive, send, 403, refusal)
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        headers = scope["headers"]
        hosts = values(headers, b"host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return "This Host is not the engine's."
        for origin in values(headers, b"origin"):
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "ws") or not self._is_ours(host):
                return "Requests from web pages are refused."
        if any(site not in ("same-origin", "none") for site in values(headers, b"sec-fetch-site")):
            return "Requests from web pages are refused."
        if self._is_admin(scope) and not self._has_token(headers):
            return f"Admin paths need the header {TOKEN_HEADER} with this run's token."
        return None

    def _is_ours(self, host: str) -> bool:
        name, _, port = host.lower().partition(":")
        # Names below .localhost are loopback by definition and cannot be rebound; buckets and APIs are addressed so.
        return (port or "80") == str(self._port) and (name in HOSTS or name.endswith(".localhost"))

    @staticmethod
    def _is_admin(scope: Scope) -> bool:
        path = scope["path"]
        if scope["type"] == "http" and path.startswith(HANDED_OUT.get(scope["method"], ())):
            return False
        return path not in OPEN and path.startswith(ADMIN)

    def _has_token(self, headers: list[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name.lower() == TOKEN_HEADER.lower().encode()]
        return len(given) == 1 and secrets.compare_digest(given[0], self._token)


def values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Every value of a header, by its lower-case name."""
    return [value.decode("latin-1").strip() for key, value in headers if key.lower() == name]


async def refuse(scope: Scope, receive: Receive, send: Send, status: int, message: str) -> None:
    """Answer with a JSON error instead of passing the request on."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    body = json.dumps({"message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
