"""What processors may not do in a rehearsal. Runs in the child interpreter, with the standard library alone.

An audit hook refuses connections, child processes and writes outside one folder. Code in C that goes around Python is
not seen by it; for the network a namespace without interfaces stands behind it where the system has one. It guards
against accidents, and is no sandbox for code that one does not trust.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_MOST = 5  # refusals that one event names
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEVICES = (os.devnull, "/dev/zero", "/dev/full")
_NETWORK = frozenset(
    {
        "socket.connect",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "syslog.syslog",
    }
)
_PROCESSES = frozenset(
    {
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "pty.spawn",
    }
)
# Audit event -> the places of its paths, and of the descriptor of the folder that each is relative to.
_CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.setxattr": ((0, None),),
    "os.removexattr": ((0, None),),
    "sqlite3.connect": ((0, None),),
}


class GuardError(PermissionError):
    """A rehearsal refuses what the processor tried."""


class Guard:
    """Refuses by an audit hook, and notes what was tried since `begin`. scratch: the folder that may be written to."""

    def __init__(self, scratch: Path, *, network: bool) -> None:
        self._root = str(scratch.resolve())
        self._network = network
        self._is_on = False
        self.tried: list[tuple[str, str]] = []

    def install(self) -> None:
        """Refuse from now on; a hook cannot be removed."""
        self._is_on = True
        sys.addaudithook(self._audit)
        with suppress(ImportError):  # what multiprocessing starts children with, for which Python has no audit event
            import _posixsubprocess

            _posixsubprocess.fork_exec = self._start  # type: ignore[assignment]

    def begin(self) -> None:
        """Forget what was tried so far."""
        self.tried = []

    def note(self, kind: str, what: str) -> None:
        """Note what was tried, once."""
        if (kind, what) not in self.tried and len(self.tried) < _MOST:
            self.tried.append((kind, what))

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if isinstance(args[2], int) and args[2] & _WRITES and not self._is_within(args[0]):
                self._refuse("write", _shown(args[0]))
        elif event in _CHANGES:
            for place, folder in _CHANGES[event]:
                at = args[folder] if folder is not None and len(args) > folder else -1
                if not self._is_within(args[place], at):
                    self._refuse("write", _shown(args[place]))
        elif event in _NETWORK:
            if not self._network:
                self._refuse("network", _address(event, args))
        elif event in _PROCESSES:
            self._refuse("process", _shown(args[0]) if args and args[0] is not None else event)
        elif (event == "os.kill" and args[0] != os.getpid()) or event == "os.killpg":
            self._refuse("process", f"signal {args[1]} to {args[0]}")

    def _start(self, *args: Any) -> None:
        self._refuse("process", _shown(args[0]) if args else "fork_exec")

    def _refuse(self, kind: str, what: str) -> None:
        self.note(kind, what)
        raise GuardError(f"a rehearsal refuses it: {kind} {what}")

    def _is_within(self, path: Any, folder: Any = -1) -> bool:
        if isinstance(path, int) or path is None:
            return True  # a descriptor that is open already
        text = os.fsdecode(path)
        if text in _DEVICES or text in ("", ":memory:") or text.startswith("file::memory:"):
            return True
        if isinstance(folder, int) and folder >= 0 and not text.startswith("/"):
            with suppress(OSError):
                text = f"{Path(f'/proc/self/fd/{folder}').readlink()}/{text}"
        parent, name = os.path.split(text.rstrip("/"))
        # The last part may be a link: what is removed or renamed is the link, and what is opened is what it names.
        whole = f"{os.path.realpath(parent or '.')}/{name}"
        return all(f"{each}/".startswith(f"{self._root}/") for each in (whole, os.path.realpath(text)))


def without_network() -> bool:
    """Move this process to a network without interfaces. Returns whether the system allows that.

    Linux with user namespaces has it for everybody. Only before the first thread.
    """
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    try:
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
            return False
    except (OSError, AttributeError):
        return False
    # The same user inside, so that files are read and owned as before.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with suppress(OSError):
            Path(f"/proc/self/{name}").write_text(text)
    return True


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(_shown, value[:4]))[:200]
    return (os.fsdecode(value) if isinstance(value, (str, bytes, os.PathLike)) else repr(value))[:200]


def _address(event: str, args: tuple[Any, ...]) -> str:
    """Where a connection or a look-up of a name leads."""
    if event.startswith("syslog"):
        return "syslog"
    address = args[:2] if event == "socket.getaddrinfo" else args[-1]
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"{_shown(host)}:{port}" if port else _shown(host)
    return _shown(address)
