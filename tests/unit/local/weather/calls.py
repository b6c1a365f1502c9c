"""Calls through one effect of the weather, with answers in place of an engine and a clock that tests move."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rtp.local.weather.call import Call, Response
from rtp.local.weather.faults import Budget

if TYPE_CHECKING:
    from rtp.local.weather.call import Protocol
    from rtp.local.weather.effect import Effect

Engine = Callable[[dict[str, Any]], dict[str, Any] | bytes]
_PROTOCOLS: dict[str, Protocol] = {"cloudformation": "query", "execute-api": "http", "lambda": "rest-json"}


class Sky:
    """One effect at a time that tests set."""

    def __init__(self, kind: type[Effect], seed: int = 1) -> None:
        self.now = 1_000_000.0
        self.effect = kind(seed, lambda: self.now)
        self.sent = 0

    def call(
        self, service: str, operation: str, answer: Any = None, *, headers: dict[str, str] | None = None, **params: Any
    ) -> Response:
        """The answer to a call. answer: the engine's, a JSON document or text; or a response."""
        call = Call(
            service,
            operation,
            _PROTOCOLS.get(service, "json"),
            params,
            {"type": "http", "headers": []},
            b"{}",
            lambda _scope, _body: self._engine(answer),
            Budget(),
            headers or {},
        )

        async def respond() -> Response:
            response = await self.effect.before(call) or await call.send()
            return await self.effect.after(call, response)

        return asyncio.run(respond())

    async def _engine(self, answer: Any) -> Response:
        self.sent += 1
        if isinstance(answer, Response):
            return answer
        return Response(200, (), answer if isinstance(answer, bytes) else json.dumps(answer or {}).encode())


def code(response: Response) -> str:
    """The error code of a response; empty for a success."""
    if response.ok:
        return ""
    if b"<Code>" in response.body:
        return response.body.split(b"<Code>")[1].split(b"<")[0].decode()
    return response.header("x-amzn-errortype") or str(response.document.get("__type"))
