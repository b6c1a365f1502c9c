"""Access control of the engine: it admits requests with this run's key or token, and never those of web pages.

The engine runs the code that it receives, as its owner. So neither a page in a browser may reach it (by a rebound name,
or from its own origin) nor another user of this machine: every request must be signed with a key of the engine, except
for those that AWS serves unsigned too (APIs, which have their own keys, and function URLs without authentication),
signed addresses, and health.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Protocol

from rtp.local import addresses, keys, refusals

if TYPE_CHECKING:
    from rtp.local.asgi import App, Receive, Scope, Send

TOKEN_HEADER = "X-Rtp-Token"  # noqa: S105 - a header's name
HOSTS = ("127.0.0.1", "localhost")
ADMIN = ("/_ministack", "/_localstack", "/_rtp")
SAVES_PATH = "/_rtp/saves"  # answers why the latest save failed
OPEN = ("/_ministack/health", "/_localstack/health", "/_ministack/ready", "/health")
_DRAINED_BYTES = 100_000_000  # of a refused request; a function's code is up to 70 MB
_ADMIN_REFUSED = "Admin paths need the header {} with this run's token."
_INVALID_ADDRESS = "This run of the engine did not issue this address, or it has expired."


class Inside(Protocol):
    """What the engine knows about a request; see Admission."""

    def refusal_of(self, access_key_id: str) -> str | None: ...  # noqa: D102

    def is_signal_handle(self, handle: str) -> bool: ...  # noqa: D102

    def as_api_call(self, scope: Scope) -> Scope | None: ...  # noqa: D102


class Door:
    """ASGI middleware that answers 403 to requests that it does not admit."""

    def __init__(self, app: App, inside: Inside, *, port: int, token: str, access_key_id: str) -> None:
        self._app = app
        self._inside = inside
        self._port = port
        self._token = token.encode()
        self._access_key_id = access_key_id.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, or refuse it with a reason."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = self._foreign(scope["headers"])
        if reason is None:
            admitted = self._admitted(scope)
            if not isinstance(admitted, refusals.Answer):
                await self._app(admitted, receive, send)
                return
        else:
            admitted = _forbidden(reason)
        await _refuse(scope, receive, send, admitted)

    def _foreign(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """The reason to refuse a request of a web page, signed or not; None for other requests."""
        hosts = values(headers, b"host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return "This Host is not the engine's."
        for origin in values(headers, b"origin"):
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "ws") or not self._is_ours(host):
                return "Requests from web pages are refused."
        if any(site not in ("same-origin", "none") for site in values(headers, b"sec-fetch-site")):
            return "Requests from web pages are refused."
        return None

    def _is_ours(self, host: str) -> bool:
        name, _, port = host.lower().partition(":")
        # Names below .localhost are loopback by definition and cannot be rebound; buckets and APIs are addressed so.
        return (port or "80") == str(self._port) and (name in HOSTS or name.endswith(".localhost"))

    def _admitted(self, scope: Scope) -> Scope | refusals.Answer:
        """The request to forward, or the response that refuses it."""
        path, is_http = scope["path"], scope["type"] == "http"
        if self._has_token(scope["headers"]) or (is_http and path in OPEN):
            return scope
        if is_http and addresses.is_issued(path):
            return scope if addresses.admits(scope, self._inside.is_signal_handle) else _forbidden(_INVALID_ADDRESS)
        if path.startswith(ADMIN):
            return _forbidden(_ADMIN_REFUSED.format(TOKEN_HEADER))
        access_key_id = keys.of_request(scope)
        if access_key_id is None:
            return self._inside.as_api_call(scope) or refusals.answer(scope, "MissingAuthenticationToken")
        if secrets.compare_digest(access_key_id.encode(), self._access_key_id):
            return scope
        code = self._inside.refusal_of(access_key_id)
        return scope if code is None else refusals.answer(scope, code)

    def _has_token(self, headers: list[tuple[bytes, bytes]]) -> bool:
        given = [value for name, value in headers if name.lower() == TOKEN_HEADER.lower().encode()]
        return len(given) == 1 and secrets.compare_digest(given[0], self._token)


def values(headers: list[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """Every value of a header, by its lower-case name."""
    return [value.decode("latin-1").strip() for key, value in headers if key.lower() == name]


def _forbidden(message: str) -> refusals.Answer:
    return refusals.Answer(403, "application/json", json.dumps({"message": message}).encode())


async def _refuse(scope: Scope, receive: Receive, send: Send, answer: refusals.Answer) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    received = 0  # a client that is still sending would see an early response as a broken connection
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        received += len(message.get("body", b""))
        if received > _DRAINED_BYTES:
            break
    body = b"" if scope["method"] == "HEAD" else answer.body
    headers = [(b"content-type", answer.content_type.encode()), (b"content-length", str(len(answer.body)).encode())]
    if answer.error_type:
        headers.append((b"x-amzn-errortype", answer.error_type.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
