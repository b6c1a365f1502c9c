"""Follow a run of any operator: how far it is, and then what became of the events that it sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.ops.dlq import journal as journals
from rtp.ops.dlq import outcomes
from rtp.ops.dlq.outcomes import Expected
from rtp.ops.dlq.runs import POLL_S, Result, current
from rtp.ops.events import outcome, replay_journal
from rtp.ops.work.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from rtp.ops.dlq.runs import RunState, Stores
    from rtp.ops.dlq.target import Target
    from rtp.ops.events.outcome import Record
    from rtp.ops.events.planned import Planned
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop


def follow(
    target: Target, stores: Stores, run: RunState, *, timeout_s: float, stop: Stop, clock: Clock = SYSTEM
) -> Generator[RunState, None, RunState]:
    """Yield how far a run is until it ends; then wait for the outcomes of the events that it sent, timeout_s at most.

    A purge sends none.
    """
    owner, state = (target.stack, target.account), run
    while state.state == "running" and not stop.drain.is_set():
        yield state
        clock.wait(stop.drain, POLL_S)
        state = current(stores, owner, run.run) or state
    if stop.drain.is_set() or state.what == "purge" or state.state == "undone":
        return state
    if state.what == "replay":
        events = replay_journal.queued(stores.replay, run.run)
        done, waiting = len(events), _of_replay(target, run.run, events, timeout_s=timeout_s, stop=stop, clock=clock)
    else:
        entries = journals.load(stores.dlq, run.run).entries.values()
        sent = [Expected(e.identity, e.digest, e.runs, e.group) for e in entries if e.sent_id and not e.restored]
        done = sum(bool(e.sent_id) for e in entries)
        waiting = _of_redrive(target, sent, timeout_s=timeout_s, stop=stop)
    state = replace(state, done=max(state.done, done))
    while True:
        try:
            yield replace(state, result=next(waiting))
        except StopIteration as end:
            return replace(state, result=end.value)


def _of_redrive(
    target: Target, expected: Sequence[Expected], *, timeout_s: float, stop: Stop
) -> Generator[Result, None, Result]:
    waiting = outcomes.wait(target, expected, timeout_s=timeout_s, stop=stop)
    while True:
        try:
            next(waiting)
        except StopIteration as end:
            found: outcomes.Outcomes = end.value
            break
        yield Result(unknown=len(expected))
    statuses, other = [found.status(record) for record in found.records], len(found.otherwise)
    return Result(
        statuses.count("processed"),
        statuses.count("dead") - other,
        other,
        found.pending + statuses.count("conflict"),
    )


def _of_replay(
    target: Target, run: str, events: Sequence[Planned], *, timeout_s: float, stop: Stop, clock: Clock
) -> Generator[Result, None, Result]:
    """A replayed event's record names the last replay that ran it. Before, the event need not have been dead."""
    before = {event.identity: event for event in events}
    found = Result(unknown=len(before))
    polled = outcome.poll(
        target.aws, target.table, before, timeout_s=timeout_s, stop=stop, has_ended=_ended_by(run), clock=clock
    )
    for record, has_ended in polled:
        if has_ended:
            found = _counted(found, record, before[outcome.identity(record)])
        yield found
    return found


def _counted(result: Result, record: Record, before: Planned) -> Result:
    left = replace(result, unknown=result.unknown - 1)
    if record["status"] == "processed":
        return replace(left, processed=left.processed + 1)
    if outcomes.is_same_cause(record, before.group) or (before.status == "dead" and not before.group):
        return replace(left, dead_again=left.dead_again + 1)
    return replace(left, dead_of_another_cause=left.dead_of_another_cause + 1)


def _ended_by(run: str) -> Callable[[Record], bool]:
    """Make a test for an event that has ended since the replay ran it; one that a later replay ran, too.

    The names of runs begin with their time.
    """

    def has_ended(record: Record) -> bool:
        return str(record.get("replay_run", "")) >= run and outcome.has_ended(record)

    return has_ended
