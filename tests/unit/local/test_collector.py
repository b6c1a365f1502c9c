"""A full collection of garbage reads what is new since the one before, not all that is stored."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from rtp.local import collector
gc.disable()
collector.start()
assert gc.isenabled()
loaded = gc.get_freeze_count()
stored = [{"number": [n]} for n in range(10_000)]
gc.collect()
assert gc.get_freeze_count() >= loaded + 20_000
assert len(gc.get_objects()) < 1_000
before = gc.get_freeze_count()
del stored[5_000:]
assert gc.get_freeze_count() <= before - 10_000, "what has no cycles is freed without the collector"
cycle = []
cycle.append(cycle)
del cycle
assert gc.collect() == 1
collector.stop()
assert not gc.isenabled() and not gc.callbacks
"""


def test_what_survived_a_full_collection_is_not_read_again() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], timeout=60, check=True)
