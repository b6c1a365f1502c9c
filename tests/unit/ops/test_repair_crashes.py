"""Redrive, purge and undo killed at every step: nothing is lost, and what is finished afterwards has nothing twice."""

from __future__ import annotations

import contextlib
import copy
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rtp.aws import queues
from rtp.ops.dlq import undo
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.purge import PurgeRequest, purge
from rtp.ops.dlq.redrive import RedriveRequest, redrive
from rtp.ops.dlq.target import Target
from rtp.ops.journal_store import JournalFiles
from rtp.ops.work.clock import Clock
from rtp.ops.work.pool import Stop
from rtp.text import times
from tests.unit.ops.fakes import DLQ, OUTPUTS, QUEUE, FakeAws, MemoryJournals, event, result

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

COUNT = 23


class Killed(BaseException):
    """The process ends here."""


@dataclass
class World:
    """A DLQ, a journal store, and a process that can be killed at a step: a call of AWS or a write of the journal."""

    count: int = COUNT
    aws: FakeAws = field(default_factory=FakeAws)
    store: MemoryJournals = field(default_factory=MemoryJournals)
    steps: int = 0
    kill_at: int | None = None
    restored_ms: int = 0

    def __post_init__(self) -> None:
        for n in range(self.count):
            self.aws.put(DLQ, event(n), mine="kept", rtp_error_type="E")
        self.aws.fault = self.store.fault = self._step

    def _step(self, _operation: str, _when: str) -> None:
        self.steps += 1
        if self.kill_at is not None and self.steps >= self.kill_at:
            raise Killed  # and at every step after: a dead process does nothing more

    def killed(self, command: Callable[[World], None], step: int) -> bool:
        """Run a command that is killed at a step. Returns whether it had that many."""
        self.steps, self.kill_at = 0, step
        with contextlib.suppress(Killed):
            command(self)
        was_killed = self.steps >= step
        self.kill_at = None
        self.aws.items.clear()  # the lease of a dead process ends
        self.aws.now += 3600  # and what it received is visible again
        return was_killed

    @property
    def target(self) -> Target:
        where = {"aws": self.aws, "outputs": OUTPUTS, "stack": "shop-dev", "account": "1", "journals": self.store}
        return Target(**where, restored_ms=self.restored_ms)  # type: ignore[arg-type]

    @property
    def clock(self) -> Clock:
        """A clock that pauses move little: threads that are slow in real time must not lose what they hide."""

        def wait(event: threading.Event, seconds: float) -> bool:
            time.sleep(0.001)
            self.aws.now += seconds / 20
            return event.is_set()

        return Clock(lambda: self.aws.now, lambda _: None, wait)

    @property
    def dlq(self) -> Counter[str]:
        return Counter(self.aws.bodies(DLQ))

    @property
    def queue(self) -> Counter[str]:
        return Counter(self.aws.bodies(QUEUE))

    @property
    def once(self) -> Counter[str]:
        return Counter(event(n) for n in range(self.count))


def purging(world: World) -> None:
    result(purge(world.target, PurgeRequest(filters=Filters()), stop=Stop(), clock=world.clock))


def redriving(world: World) -> None:
    request = RedriveRequest(filters=Filters(), canary=False)
    result(redrive(world.target, request, stop=Stop(), clock=world.clock))


def undoing(world: World) -> None:
    if world.store.runs():
        undo.undo(world.target, undo.load(world.target, None), stop=Stop(), clock=world.clock)


def steps(*commands: Callable[[World], None], count: int = COUNT) -> int:
    """The number of steps of the last command, after the others."""
    world = World(count)
    for command in commands:
        world.steps = 0
        command(world)
    return world.steps


@pytest.mark.parametrize("command", [purging, redriving])
def test_undo_after_a_kill_at_any_step_restores_each_message_once(command: Callable[[World], None]) -> None:
    for step in range(1, steps(command) + 1):
        world = World()
        world.killed(command, step)
        assert set(world.dlq + world.queue) <= set(world.once)

        undoing(world)

        assert (world.dlq, world.queue) == (world.once, Counter()), step


@pytest.mark.parametrize("command", [purging, redriving])
def test_an_undo_that_is_killed_at_any_step_is_completed_by_the_next(command: Callable[[World], None]) -> None:
    for step in range(1, steps(command, undoing) + 1):
        world = World()
        command(world)
        world.killed(undoing, step)

        undoing(world)

        assert (world.dlq, world.queue) == (world.once, Counter()), step


@pytest.mark.parametrize("command", [purging, redriving])
@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_messages_survive_any_series_of_kills(command: Callable[[World], None], seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - moments of a kill
    world = World(1000)
    world.killed(command, dice.randint(1, 600))
    for _ in range(3):
        world.killed(undoing, dice.randint(1, 300))

    undoing(world)

    assert (world.dlq, world.queue) == (world.once, Counter())


def test_a_redrive_after_a_killed_one_sends_each_message_once() -> None:
    for step in range(1, steps(redriving) + 1):
        world = World()
        world.killed(redriving, step)
        assert set(world.dlq + world.queue) == set(world.once)

        redriving(world)

        assert (world.dlq, world.queue) == (Counter(), world.once), step


def test_a_redrive_sends_again_what_a_killed_one_sent_to_a_queue_that_went_back_to_an_earlier_save() -> None:
    for step in range(1, steps(redriving) + 1):
        world = World()
        saved = copy.deepcopy(world.aws.queues)
        world.killed(redriving, step)
        # When the engine, killed at the same time, starts with its last save
        world.aws.queues = saved
        world.restored_ms = times.now_ms()
        assert (world.dlq, world.queue) == (world.once, Counter())

        redriving(world)

        assert (world.dlq, world.queue) == (Counter(), world.once), step


def test_undo_restores_what_two_killed_redrives_sent() -> None:
    world = World()
    world.killed(redriving, steps(redriving) // 2)
    redriving(world)

    undoing(world)
    undo.undo(world.target, undo.load(world.target, world.store.runs()[0]), stop=Stop(), clock=world.clock)

    assert (world.dlq, world.queue) == (world.once, Counter())


def test_an_undo_that_waited_for_another_one_restores_nothing_twice() -> None:
    world = World()
    purging(world)
    journal = undo.load(world.target, None)  # as the command does before it asks for consent
    undoing(world)

    done = undo.undo(world.target, journal, stop=Stop(), clock=world.clock)

    assert (done.back, done.earlier, world.dlq) == (0, COUNT, world.once)


def test_a_like_message_that_was_in_the_dlq_before_is_not_taken_for_a_restored_one() -> None:
    # Given two messages that are equal but for their ids, one of which was purged, and an undo killed before it sends
    world = World(0)
    for _ in range(2):
        world.aws.put(DLQ, event(1))
        world.aws.queues[DLQ][-1].sent_at -= 60_000
    request = PurgeRequest(filters=Filters(), limit=1)
    result(purge(world.target, request, stop=Stop(), clock=world.clock))

    def dies(operation: str, when: str) -> None:
        if (operation, when) == ("send_message_batch", "before"):
            raise Killed

    world.aws.fault = dies
    with pytest.raises(Killed):
        undoing(world)
    world.aws.fault = lambda _operation, _when: None
    undoing(world)

    assert world.dlq == {event(1): 2}


def test_runs_are_found_in_the_order_of_writing_whatever_their_names(tmp_path: Path) -> None:
    store = JournalFiles(tmp_path)
    names = ["20260102T000000Z-purge-b", "20260101T000000Z-redrive-a", "20260102T000000Z-purge-a"]
    for name in names:
        store.begin(name, b"{}\n", durable=False)

    assert store.runs() == names
    assert Path(store.where(names[1])).name == f"000002-{names[1]}.jsonl"


def test_a_purge_writes_its_journal_once_a_batch_and_before_it_deletes() -> None:
    world = World(100)
    order: list[str] = []

    def fault(operation: str, when: str) -> None:
        if when == "before" and operation in ("journal", "delete_message_batch"):
            order.append(operation)

    world.aws.fault = world.store.fault = fault
    purging(world)

    assert order.count("delete_message_batch") == 100 // queues.BATCH
    assert order[0] == "journal" and order.count("journal") <= 6  # once a round, which grows, and at the end


def test_a_purge_removes_the_records_notes_of_its_messages_before_it_deletes_them() -> None:
    world = World(3)
    for n in range(3):
        note = {"request_id": f"m{n + 1}", "sent_at": 1, "digest": "d", "is_sent": True}
        world.aws.record(f"e{n}", n, status="dead", dlq_message=note if n else note | {"request_id": "another"})
    order: list[str] = []
    world.aws.fault = lambda operation, when: order.append(operation) if when == "before" else None

    purging(world)

    assert "dlq_message" in world.aws.items["e0", "0"]
    assert all("dlq_message" not in world.aws.items[f"e{n}", str(n)] for n in (1, 2))
    assert order.count("batch_execute_statement") == 1 and "update_item" not in order
    assert order.index("delete_message_batch") > order.index("batch_execute_statement")
    undoing(world)
    assert all("dlq_message" in world.aws.items[f"e{n}", str(n)] for n in (1, 2))
