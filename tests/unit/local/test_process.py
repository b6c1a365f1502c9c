"""Processes: gone is what holds nothing any more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rtp.local import process

LEADER_ENDS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
print("up", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_a_process_whose_first_thread_has_ended_still_runs() -> None:
    with subprocess.Popen([sys.executable, "-c", LEADER_ENDS], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        started = process.started(child.pid)
        assert started is not None
        stat = Path(f"/proc/{child.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            pass
        # Then it is there, until all of it has ended
        assert process.alive(child.pid, started)
        child.kill()
        assert process.wait_gone(child.pid, started, 60)
