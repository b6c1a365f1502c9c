"""Redrive: move DLQ messages back to the queue, a canary first, and wait for the outcomes if requested."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rtp.ops import run_marks
from rtp.ops.access import lease
from rtp.ops.dlq import inspect, journal
from rtp.ops.dlq.ending import BRIEF
from rtp.ops.dlq.move import Mover, Selection
from rtp.ops.dlq.outcomes import Expected, Outcomes, Pending, sent_digest, wait
from rtp.ops.work.clock import SYSTEM
from rtp.text.elements import cause

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from rtp.ops.dlq.ending import Patience
    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.journal import Continued
    from rtp.ops.dlq.messages import DlqMessage
    from rtp.ops.dlq.target import Target
    from rtp.ops.events.outcome import Record
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveRequest:
    """Which messages to redrive, and how.

    limit: number of messages; rate: messages per second; canary: redrive one first, the rest only if it is processed;
    wait: for each outcome, timeout_s at the longest; edited: event texts by message id to send instead.
    options: what selects the messages, for a continuation; None where that cannot be repeated.
    resumed: the run that this one continues.
    """

    filters: Filters
    limit: int | None = None
    rate: float | None = None
    canary: bool = True
    wait: bool = False
    timeout_s: float = 120.0
    edited: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] | None = None
    resumed: Continued | None = None

    @property
    def selected(self) -> Filters:
        """The filters: what came into the DLQ after a continued run had begun is not of it."""
        there_at = self.resumed.there_at if self.resumed else 0
        return replace(self.filters, there_at=there_at) if there_at else self.filters


@dataclass(frozen=True, slots=True)
class Redriven:
    """Step: the number of messages redriven so far."""

    count: int


Step = Redriven | Pending


@dataclass(frozen=True, slots=True)
class RedrivenMessage:
    """A message that was redriven, or would be in a dry run. timestamp: the event's own, epoch ms."""

    message_id: str
    id: str
    timestamp: int
    type: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that was not redriven.

    error: why.
    """

    message_id: str
    id: str
    error: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A message that was redriven without some attributes of its sender, because SQS takes ten.

    attributes: their names; the journal has the values, and `rtp dlq undo` restores them.
    """

    message_id: str
    id: str
    attributes: list[str]


@dataclass(frozen=True, slots=True)
class Canary:
    """The message that was redriven first.

    status: processed, dead, conflict where another event has its identity, or pending after the timeout.
    """

    id: str
    timestamp: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was redriven.

    dry_run: whether nothing was changed. redriven: messages that are back in the queue.
    messages: these messages; with --dry-run those that would be redriven. failed: messages that could not be sent.
    kept: messages that were sent and are still in the DLQ too.
    died_again: messages that returned to the DLQ during the run.
    canary: the message that was redriven first; null without a canary.
    stopped: why only the canary was redriven; empty where all were. outcomes: how many events ended with each status.
    dead: records of the events that died again. dead_of_another_cause: how many of them. pending: events without an
    outcome.
    missing: requested ids that were not found in the DLQ.
    unseen: messages that SQS counts in the DLQ and that could not be received, since another receiver hides them.
    left_out: messages that were redriven without some of their attributes.
    stopped_by: the operator who asked this run to stop, as user@host; empty where nobody did.
    """

    run: str | None
    dry_run: bool = False
    redriven: int = 0
    messages: list[RedrivenMessage] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    kept: int = 0
    died_again: int = 0
    canary: Canary | None = None
    stopped: str = ""
    outcomes: dict[str, int] = field(default_factory=dict)
    dead: list[Record] = field(default_factory=list)
    dead_of_another_cause: int = 0
    pending: int = 0
    missing: list[str] = field(default_factory=list)
    unseen: int = 0
    left_out: list[LeftOut] = field(default_factory=list)
    stopped_by: str = ""

    @property
    def has_failures(self) -> bool:
        """Whether a message was not redriven, or an event died again, also as one in conflict with another."""
        return bool(self.failed or self.dead or self.stopped or self.outcomes.get("conflict"))


def preview(
    target: Target,
    request: RedriveRequest,
    *,
    stop: Stop,
    notify: Callable[[int], None] = lambda _: None,
    patience: Patience = BRIEF,
) -> Report:
    """Report what a redrive would move; change nothing.

    notify: called with the number of messages read. patience: with messages that another receiver hides.
    """
    limit = request.limit or inspect.UNLIMITED
    found: list[tuple[int, RedrivenMessage]] = []  # with when the event was accepted; the bodies are not kept

    def visit(selected: list[DlqMessage]) -> bool:
        found.extend((dlq_message.accepted_at, _redriven(dlq_message)) for dlq_message in selected)
        return len(found) >= limit

    read = inspect.scan(
        target.aws, target.outputs, request.selected, visit, stop=stop, notify=notify, patience=patience
    )
    found.sort(key=lambda each: (each[0], each[1].message_id))
    messages = [message for _, message in found[:limit]]
    missing = [] if stop.drain.is_set() else request.filters.missing(message.id for message in messages)
    return Report(run=None, dry_run=True, messages=messages, missing=missing, unseen=read.unseen)


def redrive(
    target: Target,
    request: RedriveRequest,
    *,
    stop: Stop,
    notify: Callable[[str], None] = lambda _: None,
    clock: Clock = SYSTEM,
) -> Generator[Step, None, Report]:
    """Redrive under the lease. Returns the report, also of a run that `stop` ended.

    notify: called from another thread with what is waited for. Raises RefusedError where another operator holds the
    lease, and what AWS raises.
    """
    with (
        journal.Writer(target, "redrive", options=request.options, resumed=request.resumed) as writer,
        lease.held(target.aws, target.table, "dlq redrive", stop),
        run_marks.beating(target.journals, writer.position, stop) as beat,
    ):
        selection = Selection(filters=request.selected, rate=request.rate, edited=request.edited)
        mover = Mover(target, selection, writer, stop=stop, notify=notify, clock=clock)
        report = yield from _run(target, request, mover, writer.run, stop)
        writer.result = {
            "state": beat.state(is_cut=stop.drain.is_set() or bool(report.stopped)),
            "failed": len(report.failed),
            "why": report.stopped,
            "stopped_by": beat.label,
        }
        return replace(report, stopped_by=beat.label)


@dataclass(slots=True)
class _Results:
    """What became of each message so far, without its body. expected: of the events whose outcome is waited for."""

    sent: list[RedrivenMessage] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    kept: int = 0


def _run(target: Target, request: RedriveRequest, mover: Mover, run: str, stop: Stop) -> Generator[Step, None, Report]:
    results = _Results()
    canary, outcomes = None, Outcomes()
    try:
        if request.canary and request.limit != 1:
            yield from _move(mover, request, 1, results, is_awaited=True)
            if results.expected:
                outcomes = yield from wait(target, results.expected, timeout_s=request.timeout_s, stop=stop)
                status = outcomes.status(outcomes.records[0]) if outcomes.records else "pending"
                first = results.expected[0].identity
                canary = Canary(first.id, first.timestamp, status)
        if canary is None or canary.status == "processed":
            rest = None if request.limit is None else request.limit - len(results.sent)
            yield from _move(mover, request, rest, results, is_awaited=request.wait)
    finally:
        mover.release()
    stopped = ""
    if canary is not None and canary.status != "processed":
        stopped = _stopped(request, outcomes, stop)
        outcomes = replace(outcomes, pending=outcomes.pending if stopped else 0)
    elif request.wait and results.expected:
        outcomes = yield from wait(target, results.expected, timeout_s=request.timeout_s, stop=stop)
    else:
        outcomes = Outcomes()
    is_complete = not (stop.drain.is_set() or stopped or request.limit or request.edited)
    return Report(
        run=run,
        redriven=len(results.sent),
        messages=results.sent,
        failed=results.failed,
        kept=results.kept,
        died_again=mover.died_again,
        canary=canary,
        stopped=stopped,
        outcomes=outcomes.by_status,
        dead=outcomes.dead,
        dead_of_another_cause=len(outcomes.otherwise),
        pending=outcomes.pending,
        missing=request.filters.missing(results.ids) if is_complete else [],
        unseen=mover.unseen,
        left_out=results.left_out,
    )


def _move(
    mover: Mover, request: RedriveRequest, limit: int | None, results: _Results, *, is_awaited: bool
) -> Iterator[Step]:
    """Move messages, and add what became of them to `results`."""
    for moved in mover.move(limit):
        message = moved.message
        results.ids.add(message.id)
        results.kept += moved.is_in_both
        if moved.error:
            results.failed.append(Failure(message.message_id, message.id, moved.error))
        else:
            results.sent.append(_redriven(message))
            if moved.left_out:
                results.left_out.append(LeftOut(message.message_id, message.id, list(moved.left_out)))
            if is_awaited:
                text = request.edited.get(message.message_id, message.event)
                results.expected.append(
                    Expected(message.identity, sent_digest(text, message), message.runs, message.group.id)
                )
        yield Redriven(len(results.sent))


def _stopped(request: RedriveRequest, canary: Outcomes, stop: Stop) -> str:
    """Why the rest was not redriven; empty where it was interrupted."""
    if canary.conflicts:
        return "another event has the canary's id and timestamp; it is in the dead-letter queue again"
    if canary.records:
        return f"the canary died again: {cause(canary.records[0].get('error'))}"
    return "" if stop.drain.is_set() else f"the canary had no outcome within {request.timeout_s:g} s"


def _redriven(dlq_message: DlqMessage) -> RedrivenMessage:
    kind = sys.intern(dlq_message.type)
    return RedrivenMessage(dlq_message.message_id, dlq_message.id, dlq_message.identity.timestamp, kind)
