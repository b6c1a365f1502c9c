"""The X-Ray daemon: functions send segments to it over UDP, one JSON document a packet."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING

from rtp.local import sockets
from rtp.local.tracing.store import InvalidSegmentError

if TYPE_CHECKING:
    from rtp.local.tracing.store import TraceStore

log = logging.getLogger("rtp.xray")
_BUFFER_BYTES = 4 * 1024 * 1024  # a burst of invocations sends faster than the daemon reads
_KNOWN_S = 2.0  # that a sender's port is not looked up again
_ENDED_S = 10.0  # that a port is remembered whose program has ended
_MOST_KNOWN = 1000


class Daemon:
    """Listens on a loopback UDP port, on the engine's port number if that is free.

    Every user of this machine can send there. Where the system says whose a port is, packets of others are dropped.
    """

    def __init__(self, store: TraceStore, preferred_port: int) -> None:
        self._store = store
        self._senders: dict[
            int, tuple[float, bool]
        ] = {}  # port -> when it was looked up, and whether it is this user's
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        try:
            self._socket.bind(("127.0.0.1", preferred_port))
        except OSError:
            self._socket.bind(("127.0.0.1", 0))

    @property
    def address(self) -> str:
        """For AWS_XRAY_DAEMON_ADDRESS."""
        return "{}:{}".format(*self._socket.getsockname())

    def start(self) -> None:
        """Listen in a thread: a busy event loop would lose packets."""
        threading.Thread(target=self._listen, daemon=True, name="rtp-xray").start()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                packet, (_, port) = self._socket.recvfrom(65536)
            except OSError:
                return
            if self._is_own(port):
                with contextlib.suppress(UnicodeDecodeError):
                    self._take(packet.decode())

    def _is_own(self, port: int) -> bool:
        """Whether a program of this user or of root sends from a port. One that has just ended counts as before."""
        now = time.monotonic()
        looked_up, is_own = self._senders.get(port, (-_ENDED_S, False))
        if now - looked_up >= _KNOWN_S:
            owners = sockets.owners(("udp", "udp6"), port)
            if owners or now - looked_up >= _ENDED_S:
                is_own = not sockets.is_known() or (bool(owners) and owners <= {0, os.geteuid()})
            if len(self._senders) >= _MOST_KNOWN:
                self._senders.clear()
            self._senders[port] = now, is_own
        return is_own

    def _take(self, packet: str) -> None:
        _, newline, documents = packet.partition("\n")  # the first line is the protocol's header
        for document in documents.splitlines() if newline else ():
            try:
                self._store.put(document)
            except InvalidSegmentError as error:
                log.warning("a segment was dropped: %s", error)
