"""Whether a process that another run has named has ended: known on the machine on which it ran, and nowhere else."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PROC = Path("/proc")
_START_TICKS = 19  # its field after the program's name, see proc(5)
_ENDED = ("Z", "X")  # states of a process that has ended and is still listed


def machine(proc: Path = _PROC) -> str:
    """Identify this boot of this machine and its process namespace: where the text is the same, process ids compare.

    Empty where neither can be read, as outside Linux. Host names are no substitute: two machines may share one.
    """
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = (proc / "self/ns/pid").readlink()
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(f"{boot} {namespace}".encode()).hexdigest()[:16]


def has_ended(machine_: str, pid: int, start: str) -> bool:
    """Whether a process that named its machine and its start is known to have ended: it ran on this machine."""
    return bool(machine_) and machine_ == machine() and started(pid) != start


def started(pid: int, proc: Path = _PROC) -> str:
    """When a process of this machine started, in ticks since its boot; empty where it has ended."""
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the program's name, in brackets, may have any characters
    return "" if len(fields) <= _START_TICKS or fields[0] in _ENDED else fields[_START_TICKS]
