"""Processes by pid and start time, because the system reuses pids."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def started(pid: int) -> str | None:
    """When the process started, as an opaque string; None if there is none, or only a zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        # State; threads; start time in clock ticks since boot. A zombie with threads still holds its locks.
        return None if fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1) else fields[19]
    return _started_by_ps(pid)


def alive(pid: int, start: str) -> bool:
    """Whether the process that started then still runs."""
    return pid > 0 and started(pid) == start


def wait_gone(pid: int, start: str, timeout: float) -> bool:
    """Wait for the process to end; False if it has not within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while alive(pid, start):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def terminate(pid: int, start: str) -> None:
    """Send SIGTERM to the process, also if it is suspended (Ctrl-Z). Does nothing if it has ended."""
    _send(pid, start, signal.SIGTERM, group=False)
    _send(pid, start, signal.SIGCONT, group=False)


def kill_group(pid: int, start: str) -> None:
    """Kill the process, the leader of its group, with all its children."""
    _send(pid, start, signal.SIGKILL, group=True)


def _send(pid: int, start: str, number: signal.Signals, *, group: bool) -> None:
    if not alive(pid, start):
        return
    try:
        if group and os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def _started_by_ps(pid: int) -> str | None:
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    state, _, start = answer.stdout.strip().partition(" ")
    return None if answer.returncode or state.startswith("Z") else start.strip()
