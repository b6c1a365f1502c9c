"""A callback that blocks the event loop is interrupted, and the loop continues."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import asyncio, json, re, sys, threading, time
from rtp.local.stuck import AbandonedError, StuckError, Watch

def catastrophic():
    re.search("(a+)+$", "a" * 60 + "!")

def loops():
    while True:
        pass

def swallows():
    while True:
        try:
            re.search("(a+)+$", "a" * 60 + "!")
        except Exception:
            continue

def waits():
    held.acquire()

held = threading.Lock()
held.acquire()
seen = []

async def request(hold):
    try:
        hold()
    except (StuckError, AbandonedError) as error:
        seen.append(type(error).__name__)

async def main():
    ticks = 0
    for name in sys.argv[1:]:
        task = asyncio.create_task(request(globals()[name]))
        await task
        ticks += 1
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append("reported"))
    asyncio.get_running_loop().call_soon(catastrophic)  # a callback that is no request
    await asyncio.sleep(0.1)
    await asyncio.sleep(2.5)  # idle time is nobody's
    seen.append("continues")

with Watch(limit_s=0.5, wait_limit_s=3):
    asyncio.run(main())
asyncio.run(asyncio.sleep(0))
print(json.dumps(seen))
"""


def run(*holds: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *holds], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_catastrophic_expression_a_loop_and_a_deadlock_are_interrupted() -> None:
    assert run("catastrophic", "loops", "waits") == ["StuckError"] * 3 + ["reported", "continues"]


@pytest.mark.long
def test_a_callback_that_swallows_the_first_interrupt_gets_a_second() -> None:
    assert run("swallows") == ["AbandonedError", "reported", "continues"]
