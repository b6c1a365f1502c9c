"""The engine at an address that rtp takes for AWS: a proxy on 127.0.0.2, so that the CLI does all that it does there.

Only a stack that is made for AWS has the function that empties its buckets, and the aliases, and the CDK's bootstrap.
"""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tests.local.conftest import Finished, Project

_OF_THE_CONNECTION = ("connection", "host", "keep-alive", "transfer-encoding", "expect")


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_POST(self) -> None:
        body = self._chunks() if "chunked" in self.headers.get("Transfer-Encoding", "") else self._sized()
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OF_THE_CONNECTION}
        headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection("127.0.0.1", self.server.engine_port, timeout=120)
        try:
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in (*_OF_THE_CONNECTION, "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(content)
        finally:
            connection.close()

    do_GET = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_POST

    def _sized(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Proxy(ThreadingHTTPServer):
    """Passes every request on to the engine, under the Host that the engine knows."""

    daemon_threads = True

    def __init__(self, engine_port: int) -> None:
        super().__init__(("127.0.0.2", 0), _Forward)
        self.engine_port = engine_port


@dataclass(frozen=True, slots=True)
class Distant:
    """A project whose environment `dev` is not on this machine, as far as rtp can see."""

    project: Project
    url: str

    def rtp(self, *args: str, ok: bool = True, timeout: float = 300) -> Finished:
        """Run `rtp ARGS` for that environment."""
        key_id, secret = self.project.engine.keys
        environ = {
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return self.project.rtp(*args, "--env", "dev", "--endpoint-url", self.url, env=environ, ok=ok, timeout=timeout)


@contextmanager
def distant(project: Project) -> Iterator[Distant]:
    """The project's engine, started, behind a proxy."""
    project.rtp("local", "start")
    proxy = Proxy(project.engine.port)
    thread = threading.Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield Distant(project, f"http://127.0.0.2:{proxy.server_address[1]}")
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
