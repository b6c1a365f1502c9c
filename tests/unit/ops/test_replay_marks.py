"""What a replay leaves for other machines: how far it is, who stopped it, how it ended, and who continued it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import RtpError
from rtp.ops import run_marks
from rtp.ops.dlq import runs
from rtp.ops.dlq.runs import Stores
from rtp.ops.dlq.target import Target
from rtp.ops.events import replay, replay_journal
from rtp.ops.run_marks import Operator, Position
from rtp.ops.work.pool import Stop
from tests.unit.ops.fakes import OUTPUTS, QUEUE, FakeAws, MemoryJournals, event, result
from tests.unit.ops.test_replay import NOON, OWNER, plan, raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.ops.dlq.runs import RunState
    from rtp.ops.events.replay_journal import ReplayJournal

ANN, BOB = Operator("arn:aws:iam::1:user/ann", "ann", "desk"), Operator("", "bob", "lap")
COUNT = 60


class World:
    """A replay that has been begun."""

    def __init__(self) -> None:
        self.aws, self.store = FakeAws(), MemoryJournals()
        raw(self.aws, NOON, [event(n) for n in range(COUNT)])
        self.journal = replay_journal.begin(self.store, OWNER, plan(self.aws), ANN)

    def replayed(self, journal: ReplayJournal | None = None, stop: Stop | None = None) -> replay.Replay:
        """The result of a part of the replay."""
        return result(replay.replay(self.aws, OUTPUTS, journal or self.journal, rate=None, stop=stop or Stop()))

    def mark(self, name: str) -> dict[str, Any]:
        """The values of a mark."""
        document = self.store.marked(self.journal.run, name)
        found: dict[str, Any] = {} if document is None else json.loads(document.content)
        return found

    @property
    def state(self) -> RunState:
        """The replay as another machine sees it."""
        return runs.find(Stores(MemoryJournals(), self.store), OWNER, None)

    def after_first_batch(self, action: Callable[[], None]) -> None:
        """Do something once the first batch is sent, while the others wait."""
        first, done = threading.Lock(), threading.Event()

        def fault(operation: str, when: str) -> None:
            if operation != "send_message_batch" or done.is_set():
                return
            if when == "before" and not first.acquire(blocking=False):
                done.wait(20)
            elif when == "after":
                action()
                done.set()

        self.aws.fault = fault


def test_progress_is_the_number_of_events_that_were_queued() -> None:
    world, written, original = World(), threading.Event(), MemoryJournals.mark
    assert world.journal.position() == Position(world.journal.run, 1, 0)
    world.journal.queued(world.journal.planned[:3])

    def mark(run: str, name: str, content: bytes, *, once: bool = False) -> bool:
        done = original(world.store, run, name, content, once=once)
        written.set()
        return done

    world.store.mark = mark  # type: ignore[method-assign]
    with run_marks.beating(world.store, world.journal.position, Stop(), seconds=0.001):
        assert written.wait(20)
    assert world.mark("1-progress") == {"done": 3}
    assert (world.state.state, world.state.done, world.state.what) == ("running", 3, "replay")
    assert world.state.operator == ANN


def test_a_replay_whose_machine_gives_no_sign_of_life_was_killed_and_its_progress_is_the_last_one() -> None:
    world = World()
    world.store.mark(world.journal.run, "1-progress", b'{"done": 7}')
    world.store.age_ms = run_marks.SILENT_MS - 1
    assert (world.state.state, world.state.done) == ("running", 7)
    world.store.age_ms = run_marks.SILENT_MS
    assert (world.state.state, world.state.done) == ("killed", 7)


def test_a_replay_that_ended_says_how_many_it_queued_and_how_many_it_did_not() -> None:
    world = World()
    world.aws.refused = {event(5)}
    world.replayed()
    assert world.mark("1-end") == {"state": "ended", "done": COUNT - 1, "failed": 1, "stopped_by": ""}
    assert (world.state.state, world.state.done, world.state.failed) == ("ended", COUNT - 1, 1)


def test_another_operator_stops_a_replay_and_it_says_who() -> None:
    # Given a request that comes with the first batch
    world, stop = World(), Stop()

    def ask() -> None:
        assert run_marks.ask_to_stop(world.store, world.journal.run, 1, BOB) == BOB
        assert stop.drain.wait(20)  # the replay has learned of it

    world.after_first_batch(ask)
    # When
    done = world.replayed(stop=stop)
    # Then what was begun is queued, and nothing more
    assert done.stopped_by == "bob@lap"
    assert 0 < done.replayed == len(world.aws.queues[QUEUE]) < COUNT
    assert world.mark("1-end") == {"state": "stopped", "done": done.replayed, "failed": 0, "stopped_by": "bob@lap"}
    assert (world.state.state, world.state.stopped_by, world.state.done) == ("stopped", "bob@lap", done.replayed)
    # When it is continued by the other one / Then the rest is queued, each event once, and both parts are counted
    world.aws.fault = lambda _operation, _when: None
    rest = replay_journal.load(world.store, OWNER, world.journal.run)
    assert (rest.position(), len(rest.planned)) == (
        Position(world.journal.run, 2, done.replayed), COUNT - done.replayed
    )  # fmt: skip
    rest.resume(BOB)
    assert world.mark("2-begin") == {"identity": "", "user": "bob", "host": "lap"}
    assert world.state.state == "running"  # the request to stop was one to the first part
    assert world.replayed(rest).stopped_by == ""
    assert sorted(world.aws.bodies(QUEUE)) == sorted(event(n) for n in range(COUNT))
    assert (world.state.state, world.state.done, world.state.parts) == ("ended", COUNT, 2)


def test_an_interrupted_replay_is_no_stopped_one() -> None:
    world, stop = World(), Stop()
    world.after_first_batch(stop.drain.set)
    done = world.replayed(stop=stop)
    assert 0 < done.replayed < COUNT
    assert world.mark("1-end") == {"state": "interrupted", "done": done.replayed, "failed": 0, "stopped_by": ""}


def test_the_first_part_leaves_no_mark_that_it_began() -> None:
    world = World()
    world.journal.resume(BOB)
    assert world.store.marks() == {}


@pytest.mark.parametrize("content", [b"[]", b"{", b'{"user": 7}', b"\xff"], ids=str)
def test_a_request_to_stop_that_rtp_did_not_write_stops_and_names_nobody(content: bytes) -> None:
    world, stop = World(), Stop()
    world.store.mark(world.journal.run, "1-stop", content)
    with run_marks.beating(world.store, world.journal.position, stop, seconds=0.001) as beat:
        assert stop.drain.wait(20)
    assert beat.stopped_by is not None and beat.label in ("", "?")


def test_a_store_that_does_not_answer_ends_no_replay() -> None:
    world = World()

    def down(*_: Any, **__: Any) -> bool:
        raise RtpError("S3 does not answer.")

    world.store.mark = down  # type: ignore[method-assign]
    assert world.replayed().replayed == COUNT
    assert len(replay_journal.queued(world.store, world.journal.run)) == COUNT


def test_a_replay_is_stopped_and_seen_by_the_name_of_the_stores_kind() -> None:
    world = World()
    stores = Stores(MemoryJournals(), world.store)
    target = Target(aws=world.aws, outputs=OUTPUTS, stack=OWNER[0], account=OWNER[1], journals=stores.dlq, who=BOB)
    (request,) = runs.ask_to_stop(stores, target, world.state, timeout_s=0, clock=world.aws.clock)
    assert (request.run, request.asked_by, request.state) == (world.journal.run, "bob@lap", "running")
    assert run_marks.asked_by(world.store, world.journal.run, 1) == BOB
    assert world.store.marks()[world.journal.run] == {"1-stop"}
