"""The life of events as a state machine: whatever happens in whatever order, nothing is lost and nothing is doubled."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from rtp.runtime.event import Identity, parse
from tests.unit.life.pipeline import MAX_RECEIVES, VISIBILITY_S, Kill, Pipeline
from tests.unit.ops import fakes

KINDS = st.sampled_from(["fails", "rejects", "works"])
KILLS = st.one_of(
    st.just(Kill()),
    st.builds(Kill, left=st.integers(0, 12), moment=st.sampled_from(["before", "after"])),
).map(lambda kill: Kill(kill.left, kill.moment))


class Life(RuleBasedStateMachine):
    """Rules are what clients, operators and AWS do; the end checks what became of each event."""

    @initialize()
    def begin(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.patch = pytest.MonkeyPatch()
        self.pipeline = Pipeline(self.place)
        self.time = self.pipeline.time(self.patch)
        self.time.__enter__()
        self.sent: dict[str, str] = {}
        self.pipeline.broken = {"fails", "rejects"}
        self.repeated: set[str] = set()
        self.is_looked_through = False
        self.contents: set[tuple[str, str]] = set()  # identity and digest of everything that was sent
        self.replaced: set[tuple[str, str]] = set()  # by an operator who edited it

    @rule(kinds=st.lists(KINDS, min_size=1, max_size=2))
    def send(self, kinds: list[str]) -> None:
        for kind in kinds:
            number = len(self.sent)
            self._send(number, kind)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(sorted(self.sent)))
        self._send(int(event[1:]), self.sent[event])
        self.repeated.add(event)

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), version=st.integers(1, 2))
    def send_other_content(self, data: st.DataObject, version: int) -> None:
        event = data.draw(st.sampled_from(sorted(self.sent)))
        self._send(int(event[1:]), self.sent[event], version)
        self.repeated.add(event)

    def _send(self, number: int, kind: str, version: int = 0) -> None:
        self.pipeline.send(number, kind, version)
        self.sent[f"e{number}"] = kind
        self.contents.add(_content(fakes.event(number, kind, version)))

    @rule()
    def deliver(self) -> None:
        self.pipeline.deliver()

    @rule(kill=KILLS)
    def deliver_to_a_worker_that_dies(self, kill: Kill) -> None:
        self.pipeline.deliver(kill)

    @rule(seconds=st.sampled_from([1, 30, 600]))
    def wait(self, seconds: int) -> None:
        self.pipeline.aws.now += seconds

    @rule(works=st.booleans())
    def deploy(self, works: bool) -> None:
        self.pipeline.broken = set() if works else {"fails", "rejects"}

    @rule()
    def settle(self) -> None:
        self.pipeline.settle()

    @rule(kill=KILLS)
    def redrive(self, kill: Kill) -> None:
        self.is_looked_through |= kill.left is not None
        self.pipeline.redrive(kill)

    @rule(kill=KILLS)
    def redrive_edited(self, kill: Kill) -> None:
        self.is_looked_through |= kill.left is not None
        edited = {}
        for message_id, body in self.pipeline.dead_letters().items():
            event = json.loads(body)
            edited[message_id] = json.dumps({**event, "data": {"corrected": True}})
            self.replaced.add(_content(body))
        self.pipeline.redrive(kill, edited=edited)

    @rule(kill=KILLS)
    def purge(self, kill: Kill) -> None:
        self.pipeline.purge(kill)

    @precondition(lambda self: self.pipeline.runs())
    @rule(data=st.data(), kill=KILLS)
    def undo(self, data: st.DataObject, kill: Kill) -> None:
        self.is_looked_through = True
        self.pipeline.undo(data.draw(st.sampled_from(self.pipeline.runs())), kill)

    @rule(status=st.sampled_from(["dead", "failed"]), kill=KILLS)
    def replay(self, status: str, kill: Kill) -> None:
        self.pipeline.replay(status, kill)
        self.repeated |= set(self.sent)

    def teardown(self) -> None:
        if not hasattr(self, "pipeline"):
            return
        try:
            self.check()
        finally:
            self.time.__exit__(None, None, None)
            shutil.rmtree(self.place)

    def check(self) -> None:
        self.pipeline.settle()
        for run in self.pipeline.runs():
            if "purge" in run:  # what was purged and not restored is still in the journal
                self.pipeline.undo(run, Kill())
        statuses = self.pipeline.statuses()
        bodies = [_content(body) for body in self.pipeline.dead_letters().values()]
        letters = Counter(json.loads(body)["id"] for body in self.pipeline.dead_letters().values())
        # None lost, none invented. An undo that looks through the queue counts as a receive, and so does a redrive that
        # follows a killed one: repeated, they wear out a message that no worker has seen, and SQS moves it to the DLQ
        # without a record
        assert set(statuses) <= set(self.sent) <= {*statuses, *(letters if self.is_looked_through else ())}
        # An event between its attempts that an undo took back waits in the DLQ, and its record says what came last
        lost = {e: s for e, s in statuses.items() if s not in ("processed", "dead") and e not in letters}
        assert not lost, (lost, letters, [r for r in self.pipeline.aws.items.values() if r["id"]["S"] in lost])
        assert {event for event, status in statuses.items() if status == "dead"} <= set(letters)
        # Each content that was sent under an identity is the record's, or in the DLQ, but for what an operator replaced
        present = {*bodies, *self.pipeline.contents().items(), *self.replaced}
        assert self.contents <= present, self.contents - present
        single = {e: n for e, n in letters.items() if e not in self.repeated | self.pipeline.struck}
        # A kill may leave a message in both queues, of which both copies may die: doubled is better than lost
        assert all(count <= 1 + self.pipeline.kills for count in single.values()), letters


def _content(body: str) -> tuple[str, str]:
    """Event id and digest of a text."""
    event = parse(body, Identity("", 0))
    return event.id, event.digest


def test_a_redrive_that_was_killed_and_repeated_loses_no_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, moment in itertools.product(range(14), ("before", "after")):
        pipeline = Pipeline(tmp_path / f"{number}{moment}", broken={"fails"})
        with pipeline.time(monkeypatch):
            pipeline.send(0, "fails")
            pipeline.settle()
            # When a redrive is killed at any call, the event dies again meanwhile, and the redrive is repeated
            pipeline.redrive(Kill(number, moment))
            pipeline.settle()
            pipeline.redrive(Kill())
            pipeline.settle()
            # Then its message is in the DLQ once more
            assert pipeline.dead_letters(), (number, moment)


def test_an_event_that_a_client_repeats_during_its_redrive_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a dead event, whose repeat waits in the queue for its last attempt while its message is redriven
    pipeline = Pipeline(tmp_path, broken={"fails"})
    with pipeline.time(monkeypatch):
        pipeline.send(0, "fails")
        pipeline.settle()
        pipeline.send(0, "fails")
        for _ in range(MAX_RECEIVES - 1):
            pipeline.deliver()
            pipeline.aws.now += VISIBILITY_S * 10
        pipeline.redrive(Kill())
        # When both die
        pipeline.settle()
        # Then one of the two messages, or both, are in the DLQ
        assert pipeline.dead_letters()


def test_no_event_is_lost_or_doubled() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
        ),
    )


@pytest.mark.reliability
def test_no_event_is_lost_or_doubled_in_many_lives() -> None:
    run_state_machine_as_test(Life, settings=settings(max_examples=3_000, stateful_step_count=25, deadline=None))
