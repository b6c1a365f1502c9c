"""An async processor that blocks its event loop fails alone: the others of its batch, and later batches, are served."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.runtime import fakes
from tests.unit.runtime.fakes import failures, message, world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.runtime import Event

SECONDS = 3.0  # of the function; a loop that is blocked for half a second is noticed


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Ends what the test blocks."""
    event = threading.Event()
    yield event
    event.set()


def blocking(here: fakes.World, release: threading.Event) -> list[str]:
    """Processors: `block` blocks the loop, `good` awaits. Returns the ids of the events that `good` has begun."""
    begun: list[str] = []

    async def block(_: Event) -> Any:
        await asyncio.sleep(0)
        release.wait(30)

    async def good(event: Event) -> Any:
        begun.append(event.id)
        event.data["seen"] = event.data.get("seen", 0) + 1
        await asyncio.sleep(0.01)
        return {"seen": event.data["seen"]}

    here.processor("block", block)
    here.processor("good", good)
    return begun


def test_the_blocker_fails_alone_and_its_reason_says_where(release: threading.Event) -> None:
    # Given a blocker in the middle of a batch, and others whose turn comes while it blocks
    here = world(batch_concurrency=10)
    blocking(here, release)
    events = [fakes.event(f"g{n}", "good") for n in range(9)]
    events.insert(4, fakes.event("bad", "block"))

    answer = here.deliver(*(message(e, f"m-{e['id']}") for e in events), seconds=SECONDS)

    assert failures(answer) == ["m-bad"]
    error = here.dynamo.record("bad")["error"]
    assert error["type"] == "BlockedLoopError"
    assert "blocked the event loop" in error["message"]
    assert "test_blocked_loop.py:" in error["message"]
    for n in range(9):
        record = here.dynamo.record(f"g{n}")
        assert (record["status"], record["attempt_count"], record["result"]) == ("processed", 1, {"seen": 1})


def test_the_next_batch_has_a_new_loop(release: threading.Event) -> None:
    here = world()
    begun = blocking(here, release)
    here.deliver(message(fakes.event("bad", "block"), "m1"), seconds=1.0)

    answer = here.deliver(*(message(fakes.event(f"g{n}", "good"), f"m{n}") for n in range(30)), seconds=600)

    assert failures(answer) == []
    assert sorted(begun) == sorted(f"g{n}" for n in range(30))  # each once: the loop of before was not tried


def test_a_processor_that_blocks_the_loop_and_returns_in_time_is_processed() -> None:
    here = world()

    async def compute(event: Event) -> Any:
        await asyncio.sleep(0)
        time.sleep(1.0)  # blocks the loop for longer than it is waited for
        return {"id": event.id}

    async def good(_: Event) -> Any:
        await asyncio.sleep(0.01)
        return {}

    here.processor("compute", compute)
    here.processor("good", good)

    answer = here.deliver(message(fakes.event("slow", "compute")), message(fakes.event("g", "good")), seconds=SECONDS)

    assert failures(answer) == []
    assert here.dynamo.record("slow")["result"] == {"id": "slow"}


def test_a_task_that_a_processor_starts_is_its_own(release: threading.Event) -> None:
    here = world()
    blocking(here, release)

    async def child() -> None:
        release.wait(30)

    async def parent(_: Event) -> None:
        await asyncio.gather(child(), asyncio.sleep(0))

    here.processor("parent", parent)

    answer = here.deliver(
        message(fakes.event("p", "parent"), "m1"), message(fakes.event("g", "good"), "m2"), seconds=SECONDS
    )

    assert failures(answer) == ["m1"]
    assert here.dynamo.record("p")["error"]["type"] == "BlockedLoopError"


def test_a_callback_that_blocks_the_loop_takes_no_event_with_it(release: threading.Event) -> None:
    # Given a processor that has ended, and left a callback that blocks
    here = world()
    blocking(here, release)

    async def leave(_: Event) -> None:
        asyncio.get_running_loop().call_later(0, release.wait, 30)

    here.processor("leave", leave)

    here.deliver(message(fakes.event("l", "leave")), seconds=SECONDS)
    answer = here.deliver(message(fakes.event("g", "good"), "m1"), seconds=SECONDS)

    assert failures(answer) == []


def test_a_busy_loop_is_interrupted_when_its_time_is_over() -> None:
    here, ended = world(), threading.Event()

    async def spin(_: Event) -> None:
        try:
            while True:
                pass
        finally:
            ended.set()

    here.processor("spin", spin)

    assert failures(here.deliver(message(fakes.event("s", "spin"), "m1"), seconds=1.0)) == ["m1"]
    assert ended.wait(60)
    assert here.dynamo.record("s")["error"]["type"] == "BlockedLoopError"
