"""Runs as other operators see them, value by value: lists, names, followed outcomes, and requests to stop."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import ConfigError, NotFoundError, RefusedError, RtpError, UsageError
from rtp.ops import causes, run_marks
from rtp.ops.dlq import following, runs
from rtp.ops.dlq.runs import Result, Stores
from rtp.ops.dlq.target import Target
from rtp.ops.run_marks import Operator
from rtp.ops.work.clock import Clock
from rtp.ops.work.pool import Stop
from tests.unit.ops.fakes import OUTPUTS, FakeAws, MemoryJournals, event, result

if TYPE_CHECKING:
    from rtp.ops.dlq.runs import RunState

OWNER = ("shop-dev", "1")
REDRIVE, LATER, REPLAY = "20260101T000000Z-redrive-aaaaaa", "20260103T000000Z-purge-bbbbbb", "20260102T-replay-cccccc"
HEAD = {"step": "head", "what": "redrive", "stack": OWNER[0], "account": OWNER[1], "started": 1_767_225_600_000}
ANN = {"identity": "arn:ann", "user": "ann", "host": "desk"}


def journal(*lines: dict[str, Any]) -> bytes:
    return "".join(f"\n{json.dumps(line)}\n" for line in lines).encode()


def store(*names: str, **head: Any) -> MemoryJournals:
    """A store with runs that have begun half a minute ago less a moment."""
    made = MemoryJournals(age_ms=run_marks.SILENT_MS - 1)
    for name in names:
        made.begin(name, journal(HEAD | head), durable=True)
    return made


def marked(kind: str, values: dict[str, Any], *, part: int = 1, age_ms: int = 0, **head: Any) -> RunState:
    """The state of a run with one mark more than those with which this part began."""
    dlq = store(REDRIVE, **head)
    dlq.age_ms = age_ms
    for number in range(2, part + 1):
        dlq.mark(REDRIVE, f"{number}-begin", b"{}")
    dlq.mark(REDRIVE, f"{part}-{kind}", json.dumps(values).encode())
    return runs.find(Stores(dlq, MemoryJournals()), OWNER, None)


def test_the_runs_of_both_stores_are_listed_the_newest_first_with_their_own_marks() -> None:
    dlq, replays = store(REDRIVE, LATER), store(REPLAY, what="replay")
    replays.mark(REPLAY, "1-end", b'{"state": "ended", "done": 3}')
    dlq.mark(LATER, "1-failed", b'{"done": 2}')
    stores = Stores(dlq, replays)

    found = runs.listed(stores, OWNER, limit=3)

    assert [(run.run, run.state, run.done) for run in found.runs] == [
        (LATER, "failed", 2),
        (REPLAY, "ended", 3),
        (REDRIVE, "running", 0),
    ]
    assert (found.more, found.unreadable) == (False, [])
    fewer = runs.listed(stores, OWNER, limit=2)
    assert ([run.run for run in fewer.runs], fewer.more) == ([LATER, REPLAY], True)


def test_a_run_of_another_stack_or_without_a_head_is_neither_listed_nor_unreadable() -> None:
    dlq = store(REDRIVE, stack="shop-prod")
    dlq.begin(LATER, journal({"step": "took", "message_id": "m"}), durable=True)
    dlq.begin(f"{LATER}-2", journal({"message_id": "m"}), durable=True)
    dlq.begin(f"{LATER}-3", b"\n", durable=True)  # of which a kill has cut off the rest
    assert runs.listed(Stores(dlq, store(REPLAY, account="2")), OWNER, limit=9) == runs.Runs()


def test_a_run_that_cannot_be_read_is_named_with_its_place() -> None:
    dlq = store(REDRIVE)
    dlq.begin(LATER, b"\n[]\n", durable=True)
    stores = Stores(dlq, MemoryJournals())
    found = runs.listed(stores, OWNER, limit=9)
    assert ([run.run for run in found.runs], found.unreadable) == ([REDRIVE], [LATER])
    with pytest.raises(ConfigError, match=f"memory/{LATER} cannot be read"):
        runs.find(stores, OWNER, LATER)


def test_a_mark_that_is_gone_when_it_is_read_says_no_more_than_that_the_run_ended() -> None:
    class Expired(MemoryJournals):
        def marked(self, _run: str, _name: str) -> None:
            return None

    dlq = Expired({REDRIVE: journal(HEAD)})
    dlq.mark(REDRIVE, "1-end", b'{"state": "stopped", "done": 3}')
    run = runs.find(Stores(dlq, MemoryJournals()), OWNER, None)
    assert (run.state, run.done) == ("ended", 0)


def test_a_store_that_cannot_be_read_is_an_error_and_no_unreadable_run() -> None:
    class Denied(MemoryJournals):
        def head(self, run: str) -> Any:
            raise ConfigError(f"{run}: access denied", code="denied")

    denied = Denied({REDRIVE: b""})
    with pytest.raises(ConfigError, match="access denied"):
        runs.listed(Stores(denied, MemoryJournals()), OWNER, limit=9)


def test_the_values_of_a_run_are_those_of_its_head() -> None:
    run = marked("progress", {"done": 7}, who=ANN, options={"every": True}, age_ms=1260)
    assert (run.run, run.what, run.state, run.began) == (REDRIVE, "redrive", "running", "2026-01-01T00:00:00.000Z")
    assert (run.operator, run.parts, run.done) == (Operator("arn:ann", "ann", "desk"), 1, 7)
    assert (run.options, run.quiet_s, run.result, run.failed) == ({"every": True}, 1.3, None, 0)


def test_a_head_with_less_is_that_of_a_replay_of_nobody() -> None:
    dlq = MemoryJournals()
    head = {"step": "head", "stack": OWNER[0], "account": OWNER[1], "options": ["none"]}
    dlq.begin(REDRIVE, journal(head), durable=True)
    run = runs.find(Stores(dlq, MemoryJournals()), OWNER, None)
    assert (run.what, run.began, run.options) == ("replay", "1970-01-01T00:00:00.000Z", None)
    assert (run.identity, run.user, run.host) == ("", "", "")


def test_how_a_run_ended_is_read_from_the_mark_of_its_last_part() -> None:
    values = {"state": "stopped", "done": 5, "failed": 2, "stopped_by": "bob@lap", "why": "the canary died"}
    run = marked("end", values, part=2)
    assert (run.state, run.parts, run.done, run.failed) == ("stopped", 2, 5, 2)
    assert (run.stopped_by, run.why, run.quiet_s) == ("bob@lap", "the canary died", None)
    assert marked("end", {}).state == "ended"
    assert marked("failed", {"state": "ended", "done": 1}).state == "failed"
    # And texts are no longer than those that rtp writes
    long = marked("end", {"state": "s" * 2000, "stopped_by": "b" * 2000, "why": "w" * 2000})
    assert (len(long.state), len(long.stopped_by), len(long.why)) == (100, 300, 1000)
    bare = marked("end", {})
    assert (bare.done, bare.failed, bare.stopped_by, bare.why) == (0, 0, "", "")


def test_a_part_that_has_just_begun_runs_until_it_is_silent_for_half_a_minute() -> None:
    assert marked("begin", ANN, part=2, age_ms=run_marks.SILENT_MS - 1).state == "running"
    silent = marked("begin", ANN, part=2, age_ms=run_marks.SILENT_MS)
    assert (silent.state, silent.parts, silent.done, silent.quiet_s) == ("killed", 2, 0, 30.0)


def test_the_age_of_a_run_is_that_of_its_last_sign_of_life() -> None:
    class Aged(MemoryJournals):
        """A journal that was begun long ago, and marks of now."""

        def head(self, run: str) -> Any:
            document = super().head(run)
            return None if document is None else replace(document, age_ms=10**9)

    dlq = Aged({REDRIVE: journal(HEAD)}, age_ms=1_000)
    stores = Stores(dlq, MemoryJournals())
    before = runs.find(stores, OWNER, None)
    assert (before.state, before.quiet_s) == ("killed", 1_000_000.0)
    dlq.mark(REDRIVE, "1-progress", b"{}")
    after = runs.find(stores, OWNER, None)
    assert (after.state, after.done, after.quiet_s) == ("running", 0, 1.0)
    # And of a continued run it is the mark with which the part began
    dlq.mark(REDRIVE, "2-begin", b"{}")
    assert runs.find(stores, OWNER, None).state == "running"


@pytest.mark.parametrize("kind", ["end", "progress"])
def test_an_undone_run_says_so_whatever_it_did(kind: str) -> None:
    dlq = store(REDRIVE)
    dlq.mark(REDRIVE, f"1-{kind}", b'{"done": 4}')
    dlq.mark(REDRIVE, "1-undone", b"{}")
    run = runs.find(Stores(dlq, MemoryJournals()), OWNER, None)
    assert (run.state, run.done) == ("undone", 4)


def test_a_run_is_found_by_its_name_the_beginning_or_the_end_of_it_and_the_newest_without_one() -> None:
    stores = Stores(store(REDRIVE, LATER, f"{REDRIVE}-2"), store(REPLAY, what="replay"))
    assert runs.find(stores, OWNER, None).run == LATER
    assert runs.find(stores, OWNER, REDRIVE).run == REDRIVE  # and not the one whose name begins with it
    assert runs.find(stores, OWNER, "20260102").run == REPLAY
    assert runs.find(stores, OWNER, "bbbbbb").run == LATER
    with pytest.raises(NotFoundError, match=r"There is no run redrive in memory/"):
        runs.find(stores, OWNER, "redrive")  # neither a beginning nor an end


def test_of_several_runs_that_a_part_may_mean_the_newest_five_are_named() -> None:
    names = [f"2026010{n}T-redrive-x" for n in range(1, 8)]
    pair = Stores(store(*names[:2]), MemoryJournals())
    with pytest.raises(UsageError, match="2026 stands for 2 runs"):
        runs.find(pair, OWNER, "2026")
    with pytest.raises(UsageError) as refused:
        runs.find(Stores(store(*names), MemoryJournals()), OWNER, "2026")
    assert str(refused.value) == f"2026 stands for 7 runs: {', '.join(names[2:])}."


def test_without_a_run_of_the_stack_nothing_is_found() -> None:
    empty = Stores(MemoryJournals(), MemoryJournals())
    with pytest.raises(NotFoundError, match=r"^There is no run in memory/"):
        runs.find(empty, OWNER, None)
    with pytest.raises(NotFoundError, match=f"There is no run {REDRIVE}"):
        runs.find(Stores(store(REDRIVE, stack="other"), MemoryJournals()), OWNER, REDRIVE)


class Followed:
    """A run that another machine works on, and a clock whose pauses let it go on."""

    def __init__(self, **head: Any) -> None:
        self.aws = FakeAws()
        self.dlq = store(**head)
        self.begin(HEAD | head)
        self.stores = Stores(self.dlq, MemoryJournals())
        self.stop = Stop()
        self.pauses: list[float] = []
        self.then: list[Any] = []  # what happens in each pause
        self.now = 0.0
        where: dict[str, Any] = {"outputs": OUTPUTS, "stack": OWNER[0], "account": OWNER[1], "journals": self.dlq}
        self.target = Target(aws=self.aws, who=Operator("", "bob", "lap"), **where)

    def begin(self, *lines: dict[str, Any]) -> None:
        self.dlq.journals[REDRIVE] = journal(*lines)

    def sent(self, *numbers: int, group: str = "", **more: str) -> None:
        """Record events as sent to the queue."""
        for n in numbers:
            took = {"step": "took", "message_id": f"m{n}", "id": f"e{n}", "timestamp": n, "body": event(n)}
            took |= {"attributes": {}, "runs": 1, "group": group, "digest": more.get("digest", "")}
            self.dlq.append(REDRIVE, journal(took), durable=True)
            self.dlq.append(REDRIVE, journal({"step": "sent", "message_id": f"m{n}", "sent_id": "s"}), durable=True)

    @property
    def clock(self) -> Clock:
        def sleep(seconds: float) -> None:
            self.pauses.append(seconds)
            self.now += seconds
            if self.then:
                self.then.pop(0)()

        def wait(flag: Any, seconds: float) -> bool:
            assert flag is self.stop.drain
            sleep(seconds)
            return bool(flag.is_set())

        return Clock(lambda: self.now, sleep, wait)

    def follow(self, timeout_s: float = 0) -> tuple[list[RunState], RunState]:
        seen: list[RunState] = []
        steps = following.follow(
            self.target, self.stores, self.state, timeout_s=timeout_s, stop=self.stop, clock=self.clock
        )
        while True:
            try:
                seen.append(next(steps))
            except StopIteration as end:
                return seen, end.value

    @property
    def state(self) -> RunState:
        return runs.find(self.stores, OWNER, REDRIVE)

    def mark(self, name: str, **values: Any) -> Any:
        return lambda: self.dlq.mark(REDRIVE, name, json.dumps(values).encode())


def test_a_run_is_followed_until_it_ends_once_a_second() -> None:
    run = Followed()
    run.then = [run.mark("1-progress", done=1), run.mark("1-end", state="ended", done=2)]
    seen, last = run.follow()
    assert [(state.state, state.done) for state in seen] == [("running", 0), ("running", 1)]
    assert (last.state, last.done, last.result) == ("ended", 2, Result())
    assert run.pauses == [1.0, 1.0]


def test_a_run_whose_journal_is_gone_meanwhile_stays_as_it_was_seen() -> None:
    run = Followed()
    run.then = [lambda: run.begin(HEAD | {"stack": "other"}), run.stop.drain.set]
    seen, last = run.follow()
    assert [state.run for state in seen] == [REDRIVE, REDRIVE] and last.state == "running"


def test_a_follower_that_is_stopped_waits_for_no_outcomes() -> None:
    run = Followed()
    run.sent(1)
    run.then = [run.stop.drain.set]
    seen, last = run.follow()
    assert (len(seen), last.result, run.aws.calls) == (1, None, {})
    run.mark("1-end", done=1)()
    assert run.follow() == ([], run.state)


@pytest.mark.parametrize(("what", "undone"), [("purge", False), ("redrive", True)])
def test_outcomes_are_those_of_a_redrive_that_is_not_undone(what: str, undone: bool) -> None:
    run = Followed(what=what)
    run.sent(1)
    run.mark("1-end", done=1)()
    if undone:
        run.mark("1-undone")()
    seen, last = run.follow()
    assert (seen, last.result, run.aws.calls) == ([], None, {})


def test_the_outcomes_of_a_redrive_are_counted_by_their_cause() -> None:
    # Given seven events, one of which an undo has restored meanwhile
    run, error = Followed(), {"type": "E", "message": "no"}
    same = causes.group("t", causes.of(error)).id
    run.sent(1, 2, group=same, digest="d")
    run.sent(3, group="another")
    run.sent(4, 5, 6, 7, digest="d")
    run.dlq.append(REDRIVE, journal({"step": "restored", "message_id": "m7"}), durable=True)
    run.mark("1-end", done=3)()
    # When one is processed, one dies as before and one of another cause, one is another event, and two do not end
    run.aws.record("e1", 1, status="processed", attempt_count=2, digest="d", type="t")
    run.aws.record("e2", 2, status="dead", attempt_count=2, digest="d", type="t", error=error)
    run.aws.record("e3", 3, status="dead", attempt_count=2, type="t", error=error)
    run.aws.record("e4", 4, status="processed", attempt_count=2, digest="other", type="t")
    run.aws.record("e5", 5, status="processing", attempt_count=2, digest="d", type="t")
    seen, last = run.follow()
    assert last.result == Result(processed=1, dead_again=1, dead_of_another_cause=1, unknown=3)
    # And what the journal has as sent counts although the run was cut off before it said so
    assert (last.done, last.state) == (7, "ended")
    assert [state.result for state in seen] == [Result(unknown=6)]
    # And a count of the run that is higher, of a journal that is cut off, stays
    run.mark("1-end", done=9)()
    assert run.follow()[1].done == 9


def stopping(run: Followed, timeout_s: float) -> list[tuple[str, str, str, int]]:
    requests = runs.ask_to_stop(run.stores, run.target, run.state, timeout_s=timeout_s, clock=run.clock)
    return [(request.run, request.asked_by, request.state, request.done) for request in requests]


def test_a_request_to_stop_is_seen_through_until_the_run_has_stopped() -> None:
    run = Followed()
    run.then = [run.mark("1-progress", done=1), run.mark("1-end", state="stopped", done=2)]
    assert stopping(run, 60) == [
        (REDRIVE, "bob@lap", "running", 0),
        (REDRIVE, "bob@lap", "running", 1),
        (REDRIVE, "bob@lap", "stopped", 2),
    ]
    assert run.pauses == [1.0, 1.0]
    assert run.dlq.marked(REDRIVE, "1-stop") is not None


def test_a_request_to_stop_waits_as_long_as_it_is_to() -> None:
    assert [state for _, _, state, _ in stopping(Followed(), 2)] == ["running"] * 3


def test_a_run_whose_journal_is_gone_is_asked_as_it_was_seen() -> None:
    run = Followed()
    run.then = [lambda: run.begin(HEAD | {"stack": "other"})]
    assert [state for _, _, state, _ in stopping(run, 1)] == ["running", "running"]


@pytest.mark.parametrize(
    ("what", "end", "fix"),
    [
        ("redrive", {"state": "stopped"}, f"rtp dlq redrive --run={REDRIVE}"),
        ("redrive", {"state": "ended"}, "rtp dlq runs"),
        ("purge", {"state": "stopped"}, "rtp dlq runs"),
    ],
)
def test_of_a_run_that_does_not_run_the_next_command_is_named(what: str, end: dict[str, Any], fix: str) -> None:
    run = Followed(what=what)
    run.mark("1-end", **end)()
    with pytest.raises(RefusedError) as refused:
        stopping(run, 0)
    assert fix in str(refused.value.hint)
    assert run.dlq.marked(REDRIVE, "1-stop") is None


@pytest.mark.parametrize(
    ("what", "end", "error", "fix"),
    [
        ("replay", {"state": "stopped"}, UsageError, "`rtp replay --run` continues it."),
        ("purge", {"state": "stopped"}, UsageError, "Repeat the purge."),
        ("redrive", {"state": "ended"}, RefusedError, "`rtp dlq redrive` begins another."),
    ],
)
def test_what_cannot_be_continued_names_what_does(
    what: str, end: dict[str, Any], error: type[RtpError], fix: str
) -> None:
    run = Followed(what=what)
    run.mark("1-end", **end)()
    with pytest.raises(error) as refused:
        runs.resumed(run.target, run.state)
    assert refused.value.hint == fix


@pytest.mark.parametrize("state", [*runs.CONTINUED, "running"])
def test_the_next_part_of_a_redrive_knows_what_the_earlier_ones_sent(state: str) -> None:
    run = Followed(options={"every": True}, there_at=7)
    run.sent(1)
    run.dlq.begin(LATER, journal(HEAD), durable=True)  # of another run, the newest
    took = {"step": "took", "message_id": "m2", "id": "e2", "timestamp": 2, "body": event(2), "attributes": {}}
    run.dlq.append(REDRIVE, journal(took), durable=True)
    run.mark("2-begin")()
    position, options = runs.resumed(run.target, replace(run.state, state=state))
    assert (position.run, position.part, position.sent) == (REDRIVE, 3, frozenset({"m1"}))
    assert position.there_at == 7
    assert options == {"every": True}


def test_outcomes_are_waited_for_as_long_as_is_said() -> None:
    run = Followed()
    run.sent(1)
    run.mark("1-end", done=1)()
    run.aws.record("e1", 1, status="processing", attempt_count=2)
    reads: list[str] = []

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("batch_get_item", "before"):
            reads.append(operation)
            if len(reads) == 3:
                run.aws.record("e1", 1, status="processed", attempt_count=2)

    run.aws.fault = fault
    assert run.follow(timeout_s=60)[1].result == Result(processed=1)
    assert len(reads) == 3
    assert result(following.follow(run.target, run.stores, run.state, timeout_s=0, stop=Stop())).result is not None
