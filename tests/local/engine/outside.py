"""What another user of this machine can do: open a connection to the engine's port."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.local.engine.conftest import REGION
from tests.users import NOBODY, as_user, become

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.engine.conftest import Lab

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def as_another_user(act: Callable[[], object]) -> Any:
    """What `act` returns in a child process of an unprivileged user, where the tests run as root."""
    return as_user(NOBODY, act)


class Squatter:
    """Another user's server at a port. `end` stops it, and returns everything that was sent to it."""

    def __init__(self, port: int) -> None:
        read, ready = os.pipe()
        self._received, write = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                become(NOBODY)
                with socket.create_server(("127.0.0.1", port)) as server:
                    os.write(ready, b"1")
                    while True:
                        connection, _ = server.accept()
                        connection.settimeout(5)
                        os.write(write, connection.recv(65536))
                        connection.close()
            finally:
                os._exit(1)
        os.close(ready)
        os.close(write)
        self.has_the_port = os.read(read, 1) == b"1"
        os.close(read)

    def end(self) -> bytes:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        with os.fdopen(self._received, "rb") as pipe:
            return pipe.read()


def client(lab: Lab, service: str, access_key_id: str | None, **config: Any) -> Any:
    """A client with this key and a made-up secret; None: one that signs nothing."""
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    given = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={}, **config)
    if access_key_id is None:
        given = given.merge(Config(signature_version=UNSIGNED))
    return botocore.session.Session().create_client(
        service,
        region_name=REGION,
        endpoint_url=lab.engine.endpoint_url,
        aws_access_key_id=access_key_id or "x",
        aws_secret_access_key="guessed",
        config=given,
    )


def send(
    lab: Lab, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"", host: str = ""
) -> tuple[int, bytes]:
    """One request over a plain socket, so that it is just this and needs no imports."""
    named = {
        "Host": f"{host or '127.0.0.1'}:{lab.engine.port}",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **(headers or {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    with socket.create_connection(("127.0.0.1", lab.engine.port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


def handshake(lab: Lab, path: str, host: str = "", **headers: str) -> int:
    """The status with which a WebSocket begins, or does not."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.engine.port, timeout=30)
    try:
        named = {"Host": f"{host or '127.0.0.1'}:{lab.engine.port}"}
        connection.request("GET", path, headers={**named, **UPGRADE, **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 (loopback)
        content: bytes = answer.read()
    return content


class _PassingOn(BaseHTTPRequestHandler):
    """Passes everything on under the engine's own name."""

    def do_GET(self) -> None:
        port = self.server.engine_port  # type: ignore[attr-defined]
        self.server.authorizations.append(self.headers.get("Authorization", ""))  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        onward = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "expect")}
        onward.request(self.command, self.path, body, {**headers, "Host": f"127.0.0.1:{port}"})
        answer = onward.getresponse()
        content = answer.read()
        onward.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Proxy:
    """A proxy before a port of this machine, and the signatures that it saw."""

    def __init__(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _PassingOn)
        self._server.engine_port = port  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.authorizations: list[str] = []
        self._server.authorizations = self.authorizations  # type: ignore[attr-defined]

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
