"""Whose sockets of this machine have a port, as Linux lists them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTENS = "0A"
"""State of a socket that listens for connections."""
_TABLES = Path("/proc/net")


def owners(tables: Iterable[str], port: int, *, state: str = "") -> set[int]:
    """The users with a socket at a local port, by number; none where the system does not say.

    tables: such as tcp and tcp6. state: of the sockets that count; empty for any.
    """
    found = set()
    for table in tables:
        try:
            rows = (_TABLES / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            _, local, _, now, _, _, _, uid, *_ = row.split()
            if int(local.rpartition(":")[2], 16) == port and state in ("", now):
                found.add(int(uid))
    return found


def is_known() -> bool:
    """Whether the system lists its sockets."""
    return _TABLES.is_dir()
