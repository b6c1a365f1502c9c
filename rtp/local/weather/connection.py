"""The connection that a request came on, so that an effect can reset it. ASGI cannot."""

from __future__ import annotations

import contextlib
import socket
import struct
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_transport: ContextVar[asyncio.WriteTransport | None] = ContextVar("transport", default=None)


def install() -> None:
    """Make the server note the connection of each request."""
    from hypercorn.asyncio.tcp_server import TCPServer

    serve = TCPServer.run

    async def run(self: TCPServer) -> None:
        _transport.set(self.writer.transport)
        await serve(self)

    TCPServer.run = run  # type: ignore[method-assign]


def reset() -> None:
    """Reset the connection of the current request: the client gets ECONNRESET, or an answer that ends too early."""
    transport = _transport.get()
    if transport is None:
        raise RuntimeError("no connection was noted")
    raw = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # the client has closed it
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
