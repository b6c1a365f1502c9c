"""Runs that every operator sees: states, requests to stop, continuations, and how little of a journal is read."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rtp.errors import NotFoundError, RefusedError, RtpError, UsageError
from rtp.ops import run_marks
from rtp.ops.dlq import journal, runs
from rtp.ops.dlq.ending import Patience
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.redrive import RedriveRequest, preview, redrive
from rtp.ops.dlq.runs import Stores
from rtp.ops.run_marks import Operator, Position
from rtp.ops.work.pool import Stop
from tests.unit.ops.fakes import DLQ, MemoryJournals, event, result
from tests.unit.ops.test_repair_crashes import COUNT, World, purging, steps, undoing

if TYPE_CHECKING:
    from rtp.ops.dlq.redrive import Report

OWNER = ("shop-dev", "1")
ANN = Operator("arn:aws:iam::1:user/ann", "ann", "desk")
BOB = Operator("", "bob", "lap")
OPTIONS = {"every": True}


def stores(world: World) -> Stores:
    return Stores(world.store, MemoryJournals())


def redriving(world: World, resumed: journal.Continued | None = None, stop: Stop | None = None) -> Report:
    request = RedriveRequest(filters=Filters(), canary=False, options=OPTIONS, resumed=resumed)
    target = replace(world.target, who=ANN)
    return result(redrive(target, request, stop=stop or Stop(), clock=world.clock))


def plainly(world: World) -> None:
    redriving(world)


def state(world: World) -> runs.RunState:
    return runs.find(stores(world), OWNER, None)


def killed(world: World, step: int) -> None:
    world.killed(plainly, step)
    world.store.age_ms = run_marks.SILENT_MS


def interrupted(world: World) -> None:
    """Kill a redrive soon after its journal is begun, which is at no fixed step: threads take theirs in any order."""
    for step in range(12, 30):
        killed(world, step)
        if world.store.runs():
            return


def test_a_run_that_ended_has_who_what_and_how_many() -> None:
    world = World()
    redriving(world)
    (run,) = runs.listed(stores(world), OWNER, limit=5).runs
    assert (run.what, run.state, run.done, run.failed, run.parts) == ("redrive", "ended", COUNT, 0, 1)
    assert run.operator == ANN and run.options == OPTIONS


def test_runs_of_another_stack_are_not_listed() -> None:
    world = World()
    redriving(world)
    assert runs.listed(stores(world), ("shop-prod", "1"), limit=5).runs == []


@pytest.mark.parametrize(("age_ms", "expected"), [(1000, "running"), (run_marks.SILENT_MS, "killed")])
def test_a_run_without_a_sign_of_life_was_killed(age_ms: int, expected: str) -> None:
    world = World()
    killed(world, steps(plainly) // 2)
    run = world.store.runs()[0]
    world.store.mark(run, "1-progress", b'{"done": 7}')
    world.store.age_ms = age_ms
    assert (state(world).state, state(world).done) == (expected, 7)


def test_a_killed_redrive_is_continued_under_its_name_and_each_message_is_sent_once() -> None:
    for step in range(1, steps(plainly) + 1):
        world = World()
        killed(world, step)
        if not (names := world.store.runs()) or journal.load_head(world.store, names[0]) is None:
            continue  # killed before its journal, with which its first message leaves the DLQ
        assert state(world).state in ("killed", "ended")
        if state(world).state == "ended":
            continue
        position, options = runs.resumed(world.target, state(world))
        assert options == OPTIONS and position.part == 2

        report = redriving(world, position)

        assert (world.dlq, world.queue) == (world.once, type(world.dlq)()) or not world.dlq, step
        assert world.queue == world.once, step
        assert report.run == world.store.runs()[0] and len(world.store.runs()) == 1
        assert (state(world).state, state(world).done) == ("ended", COUNT), step
        # And undo restores what all parts sent
        undoing(world)
        assert world.dlq == world.once, step
        assert state(world).state == "undone"


def arrived_later(world: World, there_at: int) -> dict[str, bool]:
    """Messages that are in the DLQ when a run is continued; whether each was there when it began."""
    time.sleep(0.01)  # so that the continuation begins after they came
    sent, dead = {"type": "order.created", "status": "dead"}, world.aws.queues[DLQ]
    expected: dict[str, bool] = {}
    for number, sent_at, attempted_at, own_id in (
        (91, there_at, 0, True),
        (92, there_at + 1, 0, True),  # sent after it began
        (93, there_at - 60_000, there_at, True),
        (94, there_at - 60_000, there_at + 1, True),  # waited in the queue, and died after it began
        (95, there_at - 60_000, there_at + 1, False),  # the last attempt was of another message of the event
    ):
        message_id = world.aws.put(DLQ, event(number))
        dead[-1].sent_at = sent_at
        if attempted_at:
            owner = message_id if own_id else "another"
            world.aws.record(f"e{number}", number, message_id=owner, attempted_at=attempted_at, **sent)
        expected[event(number)] = sent_at <= there_at and (attempted_at <= there_at or not own_id)
    return expected


def test_a_continued_redrive_takes_only_what_was_there_when_the_run_began() -> None:
    world = World()
    interrupted(world)
    position, _ = runs.resumed(world.target, state(world))
    expected = arrived_later(world, position.there_at)

    # When it is previewed / Then it shows the messages of the run alone
    request = RedriveRequest(filters=Filters(), options=OPTIONS, resumed=position)
    would = {m.id for m in preview(world.target, request, stop=Stop(), patience=Patience(clock=world.clock)).messages}
    assert {f"e{n}" in would for n in (92, 94)} == {False} and {"e91", "e93", "e95"} <= would

    # When it is continued / Then it moves those, and leaves the others to another run
    redriving(world, position)

    assert {body: body in world.queue for body in expected} == expected
    assert {body: body in world.dlq for body in expected} == {body: not there for body, there in expected.items()}
    # And a third part would begin at the same time
    assert journal.load_head(world.store, position.run).there_at == position.there_at  # type: ignore[union-attr]
    assert len(runs.listed(stores(world), OWNER, limit=5).runs) == 1


def test_another_redrive_takes_what_came_later_and_the_run_of_an_older_rtp_is_continued_without_a_limit() -> None:
    for has_time in (False, True):
        world = World()
        interrupted(world)
        position, _ = runs.resumed(world.target, state(world))
        expected = arrived_later(world, position.there_at)
        redriving(world, None if has_time else position._replace(there_at=0))
        assert all(body in world.queue for body in expected) and not world.dlq


def test_a_second_kill_during_the_continuation_is_completed_by_a_third_part() -> None:
    parts = []
    for step in range(20, 50, 3):
        world = World()
        interrupted(world)
        first, _ = runs.resumed(world.target, state(world))

        def again(world: World, first: journal.Continued = first) -> None:
            redriving(world, first)

        world.killed(again, step)
        if state(world).state == "ended":
            continue
        parts.append(state(world).parts)
        redriving(world, runs.resumed(world.target, state(world))[0])
        assert (world.dlq, world.queue) == (type(world.dlq)(), world.once), step
    assert 2 in parts


def test_a_request_to_stop_ends_the_run_at_a_batch_and_it_says_who_asked() -> None:
    # Given a run that looks for requests all the time, and one that comes with its first batch
    world, stop, asked = World(200), Stop(), list[Operator]()

    def ask(operation: str, when: str) -> None:
        if operation == "send_message_batch" and when == "after" and not asked:
            run = world.store.runs()[0]
            asked.append(run_marks.ask_to_stop(world.store, run, 1, BOB))
            assert stop.drain.wait(20)  # the run has learned of it

    world.aws.fault = ask
    with run_marks.beating(world.store, lambda: _position(world), stop, seconds=0.001) as beat:
        report = redriving(world, stop=stop)
    assert asked == [BOB] and beat.stopped_by == BOB
    assert 0 < report.redriven < 200 and sum(world.dlq.values()) == 200 - report.redriven


def _position(world: World) -> Position | None:
    names = world.store.runs()
    return Position(names[0], 1, 0) if names else None


def test_the_first_who_asks_is_named_and_a_run_that_does_not_run_is_not_asked() -> None:
    world = World()
    interrupted(world)
    world.store.age_ms = 0
    run = state(world)
    assert run_marks.ask_to_stop(world.store, run.run, 1, BOB) == BOB
    (request,) = runs.ask_to_stop(stores(world), replace(world.target, who=ANN), run, timeout_s=0)
    assert (request.asked_by, request.state) == ("bob@lap", "running")
    world.store.age_ms = run_marks.SILENT_MS
    with pytest.raises(RefusedError, match="it is killed"):
        list(runs.ask_to_stop(stores(world), world.target, state(world), timeout_s=0))


def test_a_run_that_is_asked_to_stop_ends_as_stopped() -> None:
    world = World()
    with journal.Writer(world.target, "redrive", options=OPTIONS) as writer:
        writer.sent({"m1": "m2"})
        writer.result = {"state": "stopped", "stopped_by": BOB.label, "failed": 0}
    run = state(world)
    assert (run.state, run.stopped_by) == ("stopped", "bob@lap")
    assert runs.resumed(world.target, run)[0].part == 2


def test_what_ended_or_was_edited_or_is_no_redrive_is_not_continued() -> None:
    world = World()
    redriving(world)
    with pytest.raises(RefusedError, match="is ended"):
        runs.resumed(world.target, state(world))
    purged = World()
    purging(purged)
    with pytest.raises(UsageError, match="is no redrive"):
        runs.resumed(purged.target, state(purged))
    edited = World()
    request = RedriveRequest(filters=Filters(), canary=False, edited={"x": event(1)})

    def editing(world: World) -> None:
        result(redrive(world.target, request, stop=Stop(), clock=world.clock))

    edited.killed(editing, 12)
    edited.store.age_ms = run_marks.SILENT_MS
    with pytest.raises(RefusedError, match="edited"):
        runs.resumed(edited.target, state(edited))


def test_a_redrive_reads_no_journal_of_a_run_that_ended() -> None:
    world = World()
    for _ in range(3):
        redriving(world)
        undoing(world)
    read: list[str] = []
    original = world.store.read

    def reading(run: str) -> bytes:
        read.append(run)
        return original(run)

    world.store.read = reading  # type: ignore[method-assign]
    redriving(world)
    assert read == []


def test_a_part_of_a_name_finds_its_run_and_one_of_several_is_refused() -> None:
    world = World()
    redriving(world)
    undoing(world)
    redriving(world)
    first, second = world.store.runs()
    assert runs.find(stores(world), OWNER, first[-6:]).run == first
    assert runs.find(stores(world), OWNER, second).run == second
    with pytest.raises(UsageError, match="stands for 2 runs"):
        runs.find(stores(world), OWNER, first[:8])
    with pytest.raises(NotFoundError):
        runs.find(stores(world), OWNER, "nothing")


@pytest.mark.parametrize("content", [b"[]", b"{", json.dumps({"done": "x"}).encode(), b'{"done": -1}'])
def test_a_mark_that_rtp_did_not_write_is_refused_or_ignored(content: bytes) -> None:
    world = World()
    redriving(world)
    world.store.mark(world.store.runs()[0], "1-end", content)
    try:
        assert state(world).done == 0
    except RtpError as error:
        assert error.code == "unreadable-journal"


HEAD = {"step": "head", "what": "redrive", "stack": OWNER[0], "account": OWNER[1], "started": 1}
DEEP = '{"a":' * 500 + "1" + "}" * 500
FORGED = {
    "deep": json.dumps(HEAD)[:-1] + f', "options": {DEEP}}}', "deeper": '{"a":' * 100_000, "a list": "[]",
    "a time beyond all": json.dumps(HEAD | {"started": 10**30}), "who is a text": json.dumps(HEAD | {"who": "ann"}),
    "a user that is none": json.dumps(HEAD | {"who": {"user": []}}), "what is a number": json.dumps(HEAD | {"what": 7}),
}  # fmt: skip


@pytest.mark.parametrize("line", FORGED.values(), ids=FORGED)
def test_a_run_with_a_forged_journal_is_named_and_the_others_are_listed(line: str) -> None:
    world = World()
    redriving(world)
    world.store.begin("20990101T000000Z-redrive-aaaaaa", f"\n{line}\n".encode(), durable=True)
    found = runs.listed(stores(world), OWNER, limit=5)
    assert [run.state for run in found.runs] == ["ended"]
    assert found.unreadable == ["20990101T000000Z-redrive-aaaaaa"]


@pytest.mark.parametrize("name", ["9" * 900 + "-begin", "\u0669-begin", "7-\x1b[2J", "x-begin", "8-begin\n", "-begin"])
def test_a_mark_with_another_name_than_rtp_gives_begins_no_part(name: str) -> None:
    assert run_marks.last_part({"1-progress", "2-begin", name}) == 2
