"""A time limit for every request: one that takes too long is answered 503 and cancelled."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from rtp.local.door import values
from rtp.local.regexes import TooSlowError
from rtp.local.stuck import AbandonedError, StuckError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from rtp.local.asgi import App, Receive, Scope, Send

log = logging.getLogger("rtp.time-limit")
LIMIT_S = 120.0  # SQS holds a request for 20 s at most; other requests take less than a tenth of this
INVOCATION_LIMIT_S = 960.0  # a function may run for 900 s
_TOO_LONG = (TooSlowError, StuckError, AbandonedError)


class TimeLimit:
    """ASGI middleware. A response that has begun is not limited; each part of a request restarts the limit."""

    def __init__(self, app: App, *, limit_s: float = LIMIT_S, invocation_limit_s: float = INVOCATION_LIMIT_S) -> None:
        self._app = app
        self._limit_s = limit_s
        self._invocation_limit_s = invocation_limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward the request, and answer 503 if that takes too long."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, receive, send, self._invocation_limit_s if invokes(scope) else self._limit_s)
        try:
            await self._app(scope, request.receive, request.send)
        except asyncio.CancelledError:
            if not request.timed_out:
                raise
            request.task.uncancel()
        except _TOO_LONG as error:
            log.warning("%s %s: %s", scope["method"], scope["path"], error)
            if request.begun:
                raise RuntimeError(str(error)) from error  # the server closes the connection
            await request.refuse(str(error))
        finally:
            request.timer.cancel()
            if request.refusal is not None:
                await request.refusal


class _Request:
    """One request, with the timer that answers and cancels it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit_s: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is served by a task")
        self.task = task
        self.limit_s = limit_s
        self.begun = False
        self.timed_out = False
        self.refusal: asyncio.Task[None] | None = None
        self._scope, self._receive, self._send = scope, receive, send
        self._loop = asyncio.get_running_loop()
        self._waits_since = self._loop.time()
        self.timer = self._loop.call_later(limit_s, self._expire)

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._waits_since = self._loop.time()
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self.timed_out:
            return
        self.begun = True
        self.timer.cancel()
        await self._send(message)

    async def refuse(self, reason: str) -> None:
        if self.begun:
            return
        self.begun = True
        kind, body = _body(self._scope, reason)
        headers = [
            (b"content-type", kind),
            (b"content-length", str(len(body)).encode()),
            (b"x-amzn-errortype", b"ServiceUnavailable"),
        ]
        await self._send({"type": "http.response.start", "status": 503, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _expire(self) -> None:
        remaining = self._waits_since + self.limit_s - self._loop.time()
        if remaining > 0:
            self.timer = self._loop.call_later(remaining, self._expire)
            return
        log.warning("%s %s: no answer within %g s", self._scope["method"], self._scope["path"], self.limit_s)
        self.timed_out = True
        # Before the cancellation, which a thread that the request waits for would not react to.
        self.refusal = self._loop.create_task(self.refuse(f"No answer within {self.limit_s:g} s."))
        self.task.cancel()


def invokes(scope: Scope) -> bool:
    """Whether a request waits for a function or a synchronous workflow."""
    path = scope["path"]
    if path.startswith(("/_aws/execute-api/", "/_aws/lambda-url/")) or "/_user_request_/" in path:
        return True
    if "/functions/" in path and path.endswith(("/invocations", "/response-streaming-invocations")):
        return True
    host = next(iter(values(scope["headers"], b"host")), "")
    if ".execute-api." in host or ".lambda-url." in host:
        return True
    return any(target.endswith(".StartSyncExecution") for target in values(scope["headers"], b"x-amz-target"))


def _body(scope: Scope, reason: str) -> tuple[bytes, bytes]:
    """The error in the protocol of the request: JSON, or XML for S3 and the query protocol."""
    headers = scope["headers"]
    is_json = values(headers, b"x-amz-target") or any("json" in kind for kind in values(headers, b"content-type"))
    if is_json or invokes(scope) or scope["path"].startswith("/20"):  # REST APIs begin with their date
        return b"application/json", json.dumps({"__type": "ServiceUnavailable", "message": reason}).encode()
    error = f"<Error><Code>ServiceUnavailable</Code><Message>{escape(reason)}</Message></Error>"
    return b"text/xml", f"<ErrorResponse>{error}</ErrorResponse>".encode()
