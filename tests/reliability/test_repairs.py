"""Purge, undo, redrive and replay of a thousand messages, killed at every step (C22): none is lost, none is doubled.

The small form kills at two steps with each seed, the full one at every step, a third of them with each seed.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import pytest

from rtp.ops import run_marks
from rtp.ops.dlq import runs
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.redrive import RedriveRequest, redrive
from rtp.ops.dlq.runs import Stores
from rtp.ops.events import replay_journal
from rtp.ops.work.pool import Stop
from tests.unit.ops.fakes import QUEUE, FakeAws, MemoryJournals, event, result
from tests.unit.ops.test_repair_crashes import World, purging, steps, undoing
from tests.unit.ops.test_replay import NOON, OWNER, Killed, plan, raw, replayed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.ops.dlq.journal import Continued
    from rtp.ops.events.replay_journal import ReplayJournal

COUNT = 1000
SEEDS = (1, 2, 3)
few = pytest.mark.parametrize(
    ("seed", "is_full"), [(1, False), *(pytest.param(seed, False, marks=pytest.mark.long) for seed in SEEDS[1:])]
)
all_steps = pytest.mark.parametrize(("seed", "is_full"), [(seed, True) for seed in SEEDS])


def world(seed: int) -> World:
    """A DLQ that gives its messages in an order of the seed's."""
    here = World(COUNT)
    random.Random(seed).shuffle(here.aws.queues[here.target.dlq_url])  # noqa: S311 - an order
    return here


@cache
def counted(*commands: Callable[[World], None]) -> int:
    """The number of steps of the last command, after the others."""
    return steps(*commands, count=COUNT)


def moments(total: int, seed: int, *, is_full: bool) -> list[int]:
    """Steps at which to kill: every third one from the seed on, so that the seeds have all of them; or two of these."""
    own = range(seed, total + 1, len(SEEDS))
    return list(own) if is_full else random.Random(seed).sample(own, 2)  # noqa: S311 - moments of a kill


def redriving(here: World, resumed: Continued | None = None) -> None:
    request = RedriveRequest(filters=Filters(), canary=False, options={"every": True}, resumed=resumed)
    result(redrive(here.target, request, stop=Stop(), clock=here.clock))


def continuing(here: World) -> None:
    """Continue the run that was killed, if its journal was begun."""
    here.store.age_ms = run_marks.SILENT_MS
    owner = (here.target.stack, here.target.account)
    found = runs.listed(Stores(here.store, MemoryJournals()), owner, limit=1).runs
    left = [run for run in found if run.state in runs.CONTINUED]
    redriving(here, runs.resumed(here.target, left[0])[0] if left else None)


def check_undo(command: Callable[[World], None], seed: int, *, is_full: bool) -> None:
    """The command is killed, then an undo of it at a random step; the next undo restores every message once."""
    dice = random.Random(seed)  # noqa: S311 - moments of a kill
    undo_steps = counted(command, undoing)
    for step in moments(counted(command), seed, is_full=is_full):
        here = world(seed)
        here.killed(command, step)
        assert set(here.dlq + here.queue) <= set(here.once), step
        here.killed(undoing, dice.randint(1, undo_steps))
        undoing(here)
        assert (here.dlq, here.queue) == (here.once, Counter()), step


def check_killed_undo(command: Callable[[World], None], seed: int, *, is_full: bool) -> None:
    """The command ends, and its undo is killed at each step; the next undo restores every message once."""
    for step in moments(counted(command, undoing), seed, is_full=is_full):
        here = world(seed)
        command(here)
        here.killed(undoing, step)
        undoing(here)
        assert (here.dlq, here.queue) == (here.once, Counter()), step


def check_redrive(then: Callable[[World], None], seed: int, *, is_full: bool) -> None:
    """A redrive is killed; what follows it sends every message that is left, once."""
    for step in moments(counted(redriving), seed, is_full=is_full):
        here = world(seed)
        here.killed(redriving, step)
        assert set(here.dlq + here.queue) == set(here.once), step
        then(here)
        assert (here.dlq, here.queue) == (Counter(), here.once), step


def check_replay(seed: int, *, is_full: bool) -> None:
    """A replay is killed and continued: each event is queued under one name, twice only where the kill cut its batch.

    The worker processes an event once in each run, however often it is queued.
    """
    bodies = [event(n) for n in range(COUNT)]
    random.Random(seed).shuffle(bodies)  # noqa: S311 - an order

    def archive() -> tuple[FakeAws, MemoryJournals, ReplayJournal]:
        aws, store = FakeAws(), MemoryJournals()
        raw(aws, NOON, bodies)
        return aws, store, replay_journal.begin(store, OWNER, plan(aws))

    done, kill_at = 0, 10**9

    def fault(_operation: str, _when: str) -> None:
        nonlocal done
        done += 1
        if done >= kill_at:
            raise Killed

    aws, store, journal = archive()
    aws.fault = store.fault = fault
    replayed(aws, journal)
    for step in moments(done, seed, is_full=is_full):
        aws, store, journal = archive()
        done, kill_at = 0, step
        aws.fault = store.fault = fault
        with contextlib.suppress(Killed):
            replayed(aws, journal)
        cut = Counter(aws.bodies(QUEUE))
        kill_at = 10**9
        if (rest := replay_journal.interrupted(store, OWNER)) is not None:
            replayed(aws, replay_journal.load(store, OWNER, rest.run))
        queued = Counter(aws.bodies(QUEUE))
        assert set(queued) == set(bodies), step
        assert max(queued.values()) <= 2 and {body for body, n in queued.items() if n > 1} <= set(cut), step
        assert {m.attributes["rtp_replay"]["StringValue"] for m in aws.queues[QUEUE]} == {journal.run}, step


@pytest.mark.parametrize("command", [purging, redriving])
@few
def test_undo_after_a_kill_at_any_step(command: Callable[[World], None], seed: int, is_full: bool) -> None:
    check_undo(command, seed, is_full=is_full)


@pytest.mark.reliability
@pytest.mark.parametrize("command", [purging, redriving])
@all_steps
def test_undo_after_a_kill_at_every_step(command: Callable[[World], None], seed: int, is_full: bool) -> None:
    check_undo(command, seed, is_full=is_full)


@pytest.mark.parametrize("command", [purging, redriving])
@few
def test_an_undo_killed_at_any_step(command: Callable[[World], None], seed: int, is_full: bool) -> None:
    check_killed_undo(command, seed, is_full=is_full)


@pytest.mark.reliability
@pytest.mark.parametrize("command", [purging, redriving])
@all_steps
def test_an_undo_killed_at_every_step(command: Callable[[World], None], seed: int, is_full: bool) -> None:
    check_killed_undo(command, seed, is_full=is_full)


@pytest.mark.parametrize("then", [redriving, continuing])
@few
def test_a_redrive_killed_at_any_step(then: Callable[[World], None], seed: int, is_full: bool) -> None:
    check_redrive(then, seed, is_full=is_full)


@pytest.mark.reliability
@pytest.mark.parametrize("then", [redriving, continuing])
@all_steps
def test_a_redrive_killed_at_every_step(then: Callable[[World], None], seed: int, is_full: bool) -> None:
    check_redrive(then, seed, is_full=is_full)


@few
def test_a_replay_killed_at_any_step(seed: int, is_full: bool) -> None:
    check_replay(seed, is_full=is_full)


@pytest.mark.reliability
@all_steps
def test_a_replay_killed_at_every_step(seed: int, is_full: bool) -> None:
    check_replay(seed, is_full=is_full)
