"""Drains a queue before a deletion: close the intake, wait until the queue is empty, account for the events.

SQS's counts are approximate and lag. AWS documents that they need at least a minute to settle after the last send, and
that a queue is empty once they have been 0 for several minutes: a single zero proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from rtp.aws import functions, queues
from rtp.contract import Output, queue_arn
from rtp.errors import AwsError, RtpError, WaitTimeoutError
from rtp.ops.stack.code import hotswap
from rtp.ops.stack.steps import Drained, Phase, Waiting
from rtp.ops.stack.teardown import accounting
from rtp.ops.stack.teardown.accounting import Account, Dead, Window
from rtp.ops.stack.teardown.intake import Observation
from rtp.ops.work.clock import SYSTEM, Clock
from rtp.ops.work.polling import every
from rtp.text import times
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from rtp.aws import Aws
    from rtp.aws.queues import Depth, Message
    from rtp.contract import Names
    from rtp.ops.stack.steps import Step
    from rtp.ops.stack.teardown.intake import Intake

TIMEOUT_S = 900.0
_INTEGRATION_S = 30.0  # API Gateway gives up on a request after 29 s
_START_S = 10.0  # a function's start, which its timeout does not include
_HIDDEN_S = 30  # until a message that the last receive finds is visible again, should this process be killed
_NAMED = 5


class Switch(Protocol):
    """Enables or disables the event source; returns once that holds."""

    def __call__(self, *, on: bool) -> None:
        """Switch it."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two polls, for which the counts must stay 0, and for which the last receive waits."""

    poll_s: float
    calm_s: float
    receive_s: int
    closing: Observation


AWS = Pace(poll_s=5.0, calm_s=180.0, receive_s=20, closing=Observation(times=5, pause_s=2.0, within_s=60.0))
ENGINE = Pace(poll_s=0.2, calm_s=2.0, receive_s=1, closing=Observation(times=3, pause_s=0.1, within_s=10.0))


@dataclass(slots=True)
class Drain:
    """One drain of one stack's queue."""

    aws: Aws
    outputs: Mapping[str, str]
    names: Names
    intake: Intake
    switch: Switch
    timeout_s: float = TIMEOUT_S
    pace: Pace | None = None
    clock: Clock = SYSTEM
    now_ms: Callable[[], int] = times.now_ms
    _began: float = 0.0
    _closed: float = 0.0
    _empty: float | None = None  # since when the counts are 0

    def steps(self) -> Generator[Step, None, Drained]:
        """Returns with the intake closed, the queue empty and the event source disabled.

        Raises WaitTimeoutError when that is not reached in time, RtpError when an event has no record.
        """
        self._began = self.clock.monotonic()
        pace = self._pace
        before = self._dead()
        yield Phase("closing the intake")
        yield from self.intake.close()
        yield from self.intake.observe(pace.closing, clock=self.clock)
        self._closed = self.clock.monotonic()
        if Output.KEY_ARN in self.outputs:
            yield from hotswap.ensure_enabled(self.aws, queue_arn(self.outputs, self.names.queue))
        while True:
            yield Phase("draining the queue")
            yield from self._calm(pace)
            yield Phase("stopping the event source")
            self.switch(on=False)
            account = yield from self._account(pace, before)
            if account is not None:
                return self._drained(account)
            self._empty = None
            self.switch(on=True)

    @property
    def _pace(self) -> Pace:
        return self.pace or (ENGINE if self.aws.local else AWS)

    @property
    def _queue(self) -> str:
        return self.outputs[Output.QUEUE_URL]

    def _calm(self, pace: Pace) -> Iterator[Step]:
        """Wait until the counts have been 0 for long enough and no request from before the closing can still run."""
        request_s = self._request_s()
        for _ in every(pace.poll_s, clock=self.clock):
            depth, now = self._depth(), self.clock.monotonic()
            if isinstance(depth, AwsError):
                self._empty = None
                reason = f"{depth.message} Asking again"
            elif depth.total:
                self._empty = None
                reason = f"the queue holds {_described(depth)}"
            else:
                self._empty = now if self._empty is None else self._empty
                remaining = max(pace.calm_s - (now - self._empty), request_s - (now - self._closed))
                if remaining <= 0:
                    self.intake.check()
                    return
                reason = f"the queue is empty; it must stay empty for another {remaining:.0f} s"
            self._in_time(reason)
            yield Waiting(reason)

    def _depth(self) -> Depth | AwsError:
        """The queue's counts, or the error of a call that may succeed later."""
        try:
            return queues.depth(self.aws, self._queue)
        except AwsError as error:
            if not error.passes:
                raise
            return error

    def _account(self, pace: Pace, before: Dead) -> Generator[Step, None, Account | None]:
        """With the event source disabled, account for all events; None where the queue still holds a message."""
        while True:
            messages = queues.receive(self.aws, self._queue, visibility_s=_HIDDEN_S, wait_s=pace.receive_s)
            if messages:
                self._give_back(messages)
                return None
            if queues.depth(self.aws, self._queue).total:
                return None
            account = accounting.account(
                self.aws,
                self.outputs,
                self.names.access_log_group if self.intake.is_logged else None,
                Window(self.intake.since, int(_INTEGRATION_S * 1000), self.now_ms()),
                before=before,
                clock=self.clock,
            )
            if account.missing:
                raise _missing(account.missing)
            if not account.unfinished:
                self.intake.check()
                return account
            reason = f"{many(len(account.unfinished), 'event')} still being processed: {_some(account.unfinished)}"
            self._in_time(reason)
            yield Waiting(reason)
            self.clock.sleep(pace.poll_s)

    def _give_back(self, messages: list[Message]) -> None:
        """Return messages to the queue. One that has no receive left is sent again as a copy."""
        limit = queues.max_receives(self.aws, self._queue)
        spent = [m for m in messages if limit is not None and m.receive_count >= limit]
        copies = [queues.Outgoing(m.body, m.attributes, m.trace_header) for m in spent]
        receipts = queues.send(self.aws, self._queue, copies)
        sent = [m.receipt for m, receipt in zip(spent, receipts, strict=True) if receipt.message_id]
        if sent:
            queues.delete(self.aws, self._queue, sent)
        rest = [m.receipt for m in messages if m.receipt not in sent]
        if rest:
            queues.change_visibility(self.aws, self._queue, rest, 0)

    def _request_s(self) -> float:
        """How long a request from before the closing may still run, and queue its event at its end."""
        timeout_s = functions.function(self.aws, self.outputs[Output.PROCESSOR]).timeout_s
        return min(_INTEGRATION_S, timeout_s + _START_S)

    def _dead(self) -> Dead:
        try:
            return accounting.dead(self.aws, self.outputs, self.clock)
        except RtpError:  # the account reports it as not checked
            return Dead()

    def _in_time(self, reason: str) -> None:
        took = self.clock.monotonic() - self._began
        if took > self.timeout_s:
            raise WaitTimeoutError(
                f"The queue is not drained after {took:.0f} s: {reason}. Nothing was deleted.",
                hint="Repeat the command with a longer --timeout, or without --drain to delete unprocessed events.",
            )

    def _drained(self, account: Account) -> Drained:
        now = self.clock.monotonic()
        return Drained(
            accepted=account.accepted,
            received=account.received,
            recorded=None if account.received is None else sum(account.by_status.values()),
            by_status=account.by_status,
            dlq=account.dlq,
            dlq_new=account.dlq_new,
            empty_s=round(now - (self._empty or now), 2),
            elapsed_s=round(now - self._began, 2),
            unchecked=tuple(account.unchecked),
        )


def _described(depth: Depth) -> str:
    parts = {"in flight": depth.in_flight, "delayed": depth.delayed}
    rest = ", ".join(f"{count:,} {how}" for how, count in parts.items() if count)
    return f"{many(depth.total, 'message')}{f' ({rest})' if rest else ''}"


def _some(ids: list[str]) -> str:
    return f"{', '.join(ids[:_NAMED])}{' …' if ids[_NAMED:] else ''}"


def _missing(ids: list[str]) -> RtpError:
    return RtpError(
        f"{many(len(ids), 'event')} received during the drain {'has' if len(ids) == 1 else 'have'} no "
        f"record: {_some(ids)}. Nothing was deleted.",
        hint="See `rtp dlq inspect` and `rtp logs`. Without --drain the stack is deleted anyway.",
        code="no-record",
    )
