"""The key for an endpoint on this machine that is not this project's own engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rtp.local import keys
from rtp.local.keys import Keys
from rtp.local.state import Folder, folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.state import Record

_PROC = Path("/proc")
_LISTENS = "0A"  # a socket's state in /proc/net/tcp
_HOST = "127.0.0.1"  # on which an engine listens


def keys_for(url: str, root: Path, environ: Mapping[str, str]) -> Keys | None:
    """The key of the engine at this address; None if rtp knows of no engine there.

    The key of this user's engine on that port (only on Linux, where processes can be inspected), else the one in the
    environment, else that of this project's engine, which may be behind a proxy of this user. Under another name of
    this machine, such as localhost or ::1, another user may listen on the same port.
    """
    address = urlsplit(url)
    port = address.port or (443 if address.scheme == "https" else 80)
    record = _engine_on(port)
    if address.hostname != _HOST and not _is_own_listener(port):
        record = None
    if record is None and (given := keys.of_environment(environ)):
        return given
    if record is None and _is_own_listener(port):
        record = _running(folder(root))
    return Keys(record.access_key_id, record.secret_access_key) if record else None


def _engine_on(port: int) -> Record | None:
    """The record of this user's engine on a port; the working folder of an engine contains its record."""
    for entry in _PROC.glob("[0-9]*"):
        try:
            if entry.stat().st_uid != os.geteuid():
                continue
            working = (entry / "cwd").readlink()
        except OSError:  # the process has ended
            continue
        if working.parts[-2:] == (".rtp", "local"):
            record = _running(Folder(working))
            if record is not None and (record.pid, record.port) == (int(entry.name), port):
                return record
    return None


def _running(place: Folder) -> Record | None:
    occupant = place.occupant()
    return occupant.record if occupant.state == "running" else None


def _is_own_listener(port: int) -> bool:
    """Whether a program of this user or of root listens there: another user's program would learn the key."""
    owners = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            _, local, _, state, _, _, _, uid, *_ = row.split()
            if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                owners.add(int(uid))
    return bool(owners) and owners <= {0, os.geteuid()}
