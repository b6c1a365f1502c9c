"""Who sent a packet over loopback: UDP has no key, but the kernel knows the user of the socket that sent it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TABLES = (Path("/proc/net/udp"), Path("/proc/net/udp6"))
_VALID_S = 1.0  # for how long an answer stands: to read the tables takes about a millisecond
_LOCAL, _UID = 1, 7  # columns of the tables


class Senders:
    """Which packets are of this user's processes, and which of other users', by their source port.

    own_port: of a socket of this process. Where the tables do not have it, as on a system that has no such tables,
    nothing is known of any sender, and every packet counts as this user's.
    """

    def __init__(
        self, own_port: int, *, tables: Sequence[Path] = _TABLES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tables, self._clock = tables, clock
        self._users: dict[int, set[int]] = {}
        self._read_at: dict[int, float] = {}
        self._uid = os.geteuid()
        self.are_known = own_port in self._read()

    def are_ours(self, port: int) -> bool:
        """Whether every socket at this port is this user's. Of a socket that is closed by now, nobody knows whose."""
        if not self.are_known:
            return True
        now = self._clock()
        if now - self._read_at.get(port, -_VALID_S) >= _VALID_S:
            self._users = self._read()
            self._read_at = dict.fromkeys([*self._users, port], now)
        return self._users.get(port) == {self._uid}

    def _read(self) -> dict[int, set[int]]:
        """The users of the sockets at each port."""
        users: dict[int, set[int]] = {}
        for table in self._tables:
            try:
                lines = table.read_text().splitlines()[1:]
            except OSError:
                continue
            for fields in map(str.split, lines):
                users.setdefault(int(fields[_LOCAL].rpartition(":")[2], 16), set()).add(int(fields[_UID]))
        return users
