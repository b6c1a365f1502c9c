"""A proxy on a loopback port that delays each request, as the way to AWS does; connections are kept."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN = ("connection", "host", "transfer-encoding", "keep-alive")  # not passed on; the engine refuses other hosts


@contextmanager
def delaying(url: str, seconds: float) -> Iterator[str]:
    """The URL of a proxy of `url` during the block."""
    place = urlsplit(url)
    own = threading.local()  # a connection to the server for each connection of a client

    class Handler(BaseHTTPRequestHandler):
        """Passes requests on."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # which would add 40 ms to an answer of several parts

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, answer = self._pass_on(body)
            time.sleep(seconds)
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in (*_OWN, "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_PUT = do_POST

        def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            if not hasattr(own, "connection"):
                own.connection = http.client.HTTPConnection(place.hostname or "", place.port)
                own.connection.connect()
                own.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            own.connection.request(self.command, self.path, body, headers)
            response = own.connection.getresponse()
            return response.status, response.getheaders(), response.read()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """A client has closed its connection."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
