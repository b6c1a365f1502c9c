"""What became of the events of a run that somebody follows: of a replay, and of a purge, which sends none."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rtp.commands.render import dlq_runs as render
from rtp.ops.dlq import following, runs
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.purge import PurgeRequest, purge
from rtp.ops.dlq.runs import Result, RunState, Stores
from rtp.ops.dlq.target import Target
from rtp.ops.events import replay, replay_journal
from rtp.ops.work.pool import Stop
from rtp.text import json_values
from tests.unit.ops.fakes import DLQ, OUTPUTS, FakeAws, MemoryJournals, event, result

if TYPE_CHECKING:
    from rtp.ops.events.planned import Planned

OWNER = ("shop-dev", "1")
NOW = 1_769_860_800_000
OLD = {"type": "KeyError", "message": "'total'", "signature": "KeyError: 'total'", "at": "processors.py:7 price"}
OTHER = {"type": "TypeError", "message": "no", "signature": "TypeError: no", "at": "processors.py:9 price"}


class World:
    """Archived events, the journals of two kinds, and an operator who follows."""

    def __init__(self, count: int) -> None:
        self.aws, self.stores = FakeAws(), Stores(MemoryJournals(), MemoryJournals())
        lines = [
            json.dumps({"id": f"e{n}", "timestamp": n, "source": "api", "received_at": NOW, "body": event(n)})
            for n in range(1, count + 1)
        ]
        self.aws.objects["raw/2026/01/31/12/batch.ndjson.gz"] = gzip.compress("".join(f"{x}\n" for x in lines).encode())
        self.target = Target(aws=self.aws, outputs=OUTPUTS, stack=OWNER[0], account=OWNER[1], journals=self.stores.dlq)

    def planned(self) -> list[Planned]:
        """What a replay of all of them selects."""
        request = replay.ReplayRequest(since=NOW - 1000, until=NOW + 1000)
        return result(replay.plan(self.aws, OUTPUTS, request))

    def replayed(self) -> str:
        """The name of a replay of all of them."""
        journal = replay_journal.begin(self.stores.replay, OWNER, self.planned())
        return result(replay.replay(self.aws, OUTPUTS, journal, rate=None, stop=Stop())).run or ""

    def record(self, number: int, status: str, **more: Any) -> None:
        """The record of an event."""
        fields = {"type": "order.created", "status": status, "attempt_count": 2, **more}
        self.aws.record(f"e{number}", number, **fields)

    def followed(self, run: str, seconds: float = 5.0) -> RunState:
        """What the operator sees at the end."""
        found = runs.find(self.stores, OWNER, run)
        steps = following.follow(self.target, self.stores, found, timeout_s=seconds, stop=Stop(), clock=self.aws.clock)
        return result(steps)


def test_a_replayed_event_is_processed_dead_of_the_same_dead_of_something_new_or_unknown() -> None:
    world = World(7)
    for number in (1, 2, 3, 6, 7):
        world.record(number, "dead", error=OLD)
    world.record(4, "processed")  # and of the fifth there is no record
    run = world.replayed()
    world.record(1, "processed", replay_run=run, error=OLD)
    world.record(2, "dead", replay_run=run, error={**OLD, "message": "'sum'", "at": "processors.py:8 price"})
    world.record(3, "dead", replay_run=run, error=OTHER)
    world.record(4, "dead", replay_run=run, error=OLD)
    world.record(5, "processed", replay_run=run)
    world.record(6, "dead", replay_run="20250101T000000Z-replay-aaaaaa", error=OLD)
    world.record(7, "processing", replay_run=run, lease_until=9_999_999_999_999)

    found = world.followed(run)

    assert (found.what, found.state, found.done) == ("replay", "ended", 7)
    assert found.result == Result(processed=2, dead_again=1, dead_of_another_cause=2, unknown=2)


def test_an_event_that_was_processed_before_its_replay_has_no_outcome_until_the_replay_has_run_it() -> None:
    world = World(1)
    world.record(1, "processed")
    run = world.replayed()
    assert world.followed(run).result == Result(unknown=1)
    world.record(1, "processed", replay_run=run)
    assert world.followed(run).result == Result(processed=1)


def test_an_event_that_a_later_replay_took_has_the_outcome_of_that_one() -> None:
    world = World(1)
    world.record(1, "dead", error=OLD)
    run = world.replayed()
    world.record(1, "processed", replay_run="29990101T000000Z-replay-aaaaaa")
    assert world.followed(run).result == Result(processed=1)


def test_of_a_killed_replay_the_events_that_it_had_queued_are_followed() -> None:
    world = World(3)
    for number in (1, 2, 3):
        world.record(number, "dead", error=OLD)
    journal = replay_journal.begin(world.stores.replay, OWNER, world.planned())
    journal.queued(journal.planned[:2])
    for number in (1, 2, 3):
        world.record(number, "processed", replay_run=journal.run)
    world.stores.replay.age_ms = 60_000  # type: ignore[attr-defined]

    found = world.followed(journal.run)

    assert (found.state, found.done, found.result) == ("killed", 2, Result(processed=2))


def test_the_journal_of_an_older_rtp_has_no_causes_and_its_dead_events_are_dead_again() -> None:
    world = World(2)
    world.record(1, "dead", error=OLD)
    run = world.replayed()
    store = world.stores.replay
    assert isinstance(store, MemoryJournals)
    lines = [json.loads(line) for line in store.journals[run].splitlines() if line]
    older = [json.dumps({k: v for k, v in line.items() if k != "group"}) for line in lines]
    store.journals[run] = "\n".join(older).encode()
    world.record(1, "dead", replay_run=run, error=OTHER)
    world.record(2, "dead", replay_run=run, error=OTHER)
    assert world.followed(run).result == Result(dead_again=1, dead_of_another_cause=1)


def test_while_events_have_no_outcome_the_operator_sees_how_many() -> None:
    world = World(2)
    run = world.replayed()
    world.record(1, "processed", replay_run=run)
    world.record(2, "processing", lease_until=9_999_999_999_999)
    found = runs.find(world.stores, OWNER, run)
    began = world.aws.now
    steps = following.follow(world.target, world.stores, found, timeout_s=2, stop=Stop(), clock=world.aws.clock)
    assert {step.result.unknown for step in steps if step.result} == {1}
    assert 1 < world.aws.now - began < 4  # its pauses are those of the clock that it was given


def test_a_purge_has_no_outcomes_and_that_is_said() -> None:
    world = World(0)
    world.aws.put(DLQ, event(1))
    done = result(purge(world.target, PurgeRequest(filters=Filters()), stop=Stop(), clock=world.aws.clock))

    found = world.followed(done.run)

    assert (found.what, found.state, found.done, found.result) == ("purge", "ended", 1, None)
    shown = "".join(str(element) for element in render.run(found))
    assert "none; a purge deletes messages and runs no event" in shown
    replayed = replace(found, what="replay", result=Result(processed=1))
    assert "none; a purge" not in "".join(str(element) for element in render.run(replayed))


@pytest.mark.parametrize("group", [7, ["x"], {"a": 1}], ids=str)
def test_a_planned_event_with_a_group_that_rtp_does_not_write_is_refused(group: object) -> None:
    world = World(1)
    run = world.replayed()
    store = world.stores.replay
    assert isinstance(store, MemoryJournals)
    store.journals[run] = store.journals[run].replace(b'"group": ""', b'"group": ' + json.dumps(group).encode())
    with pytest.raises(Exception, match="cannot be read"):
        world.followed(run)


def test_the_cause_is_no_part_of_a_replays_json() -> None:
    world = World(1)
    world.record(1, "dead", error=OLD)
    (planned,) = world.planned()
    assert planned.group and "group" not in json_values.to_json_types(planned)
