"""The X-Ray daemon: functions send segments to it over UDP, one JSON document a packet.

It takes those of this user's processes: any user of the machine can send to its port.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING

from rtp.local.tracing.senders import Senders
from rtp.local.tracing.store import InvalidSegmentError

if TYPE_CHECKING:
    from rtp.local.tracing.store import TraceStore

log = logging.getLogger("rtp.xray")
_BUFFER_BYTES = 4 * 1024 * 1024  # a burst of invocations sends faster than the daemon reads


class Daemon:
    """Listens on a loopback UDP port, on the engine's port number if that is free."""

    def __init__(self, store: TraceStore, preferred_port: int) -> None:
        self._store = store
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
        senders, is_said = Senders(self._socket.getsockname()[1]), False
        while True:
            try:
                packet, (_, port) = self._socket.recvfrom(65536)
            except OSError:
                return
            if not senders.are_ours(port):
                if not is_said:  # once: a flood of packets does not fill the disk
                    log.warning(
                        "a packet from UDP port %d was dropped, as others: another user's process sent it", port
                    )
                is_said = True
                continue
            with contextlib.suppress(UnicodeDecodeError):
                self._take(packet.decode())

    def _take(self, packet: str) -> None:
        _, newline, documents = packet.partition("\n")  # the first line is the protocol's header
        for document in documents.splitlines() if newline else ():
            try:
                self._store.put(document)
            except InvalidSegmentError as error:
                log.warning("a segment was dropped: %s", error)
