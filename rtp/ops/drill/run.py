"""Run a drill: send its events to the queue, follow each to its end, watch the alarms, and remove what it left."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import queues, records
from rtp.errors import AwsError, RefusedError, RtpError
from rtp.ops.drill import begun, cleanup, faults, report, watch
from rtp.ops.drill.begun import Begun
from rtp.ops.drill.emptiness import is_empty
from rtp.ops.drill.report import Drill, Ledger, Progress, Removed
from rtp.ops.events import outcome
from rtp.ops.events.identity import trace_header, trace_id
from rtp.ops.work import pool
from rtp.ops.work.clock import SYSTEM
from rtp.runtime import wire
from rtp.text import suggest, times

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from rtp.config import Environment
    from rtp.ops.dlq.target import Target
    from rtp.ops.drill.faults import Fault, Plan
    from rtp.ops.events.outcome import Record
    from rtp.ops.journal_store import JournalStore
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop
    from rtp.runtime.event import Identity

_CONCURRENCY = 4
_AGAIN_S = 2.0  # after a read that failed
_SETTLE_S = 90.0  # how long the second copies of events are waited for
STAYS = (
    "metrics",
    "log lines",
    "traces",
    "old versions of objects, until the bucket's lifecycle expires them",
    "the drill's entry of `rtp history`, and for 30 days its beginning and end in rtp's own bucket",
    "a record that a late copy of a message writes after this, until `rtp drill --clean-up`",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRequest:
    """What to inject. timeout_s: for the events to end and the alarms to fire, together."""

    fault: Fault
    count: int
    timeout_s: float


def check(environment: Environment, *, is_protected: bool = False) -> None:
    """Raises RefusedError for an environment that rtp.toml protects. is_protected: its stack was deployed so."""
    if environment.protected or is_protected:
        raise RefusedError(
            f"{environment.name} {'is' if environment.protected else 'was deployed as'} protected, and a drill injects "
            "faults; nothing was sent.",
            hint="Name an environment that is not protected with --env.",
            code="protected-environment",
        )


def drill(
    target: Target,
    environment: Environment,
    request: DrillRequest,
    *,
    drills: JournalStore,
    stop: Stop,
    notify: Callable[[str], None] = lambda _: None,
    clock: Clock = SYSTEM,
) -> Generator[Progress, None, Drill]:
    """Inject a fault, and report what became of it. What has ended is removed also after an interrupt.

    drills: where the drill is recorded, for a clean-up after a kill.
    """
    check(environment)
    began, since_ms = clock.monotonic(), times.now_ms()
    plan = faults.plan(
        request.fault, request.count, environment.settings, local=environment.local, timeout_s=request.timeout_s
    )
    run = secrets.token_hex(4)
    alarms = watch.Watch(target.aws, environment.names, plan.alarms, since_ms=since_ms)
    this = begun.record(drills, target, Begun(run, since_ms, request.count))
    events = [(event, {"run": run, **data}) for event, data in zip(this.identities, plan.data, strict=True)]
    sent: set[Identity] = set()
    errors: list[str] = []
    for identity in _send(target, run, events, plan, errors, stop, clock):
        sent.add(identity)
        yield Progress("sent", len(sent), request.count)

    def left_s() -> float:
        return max(0.0, began + request.timeout_s - clock.monotonic())

    known: dict[Identity, Record] = {}
    ended: dict[Identity, Record] = {}
    for record, is_final in _followed(target, sent, ended, errors, left_s, stop, clock):
        known[outcome.identity(record)] = record
        if is_final:
            ended[outcome.identity(record)] = record
            yield Progress("ended", len(ended), len(sent))
    if plan.copies > 1:
        ended |= _settled(target, list(ended), errors, min(_SETTLE_S, left_s()), stop, clock)
    waiting, lost = _rest(target, sent, known, ended, stop, clock)
    for fired in alarms.wait(left_s(), stop=stop, clock=clock):
        yield Progress("alarms fired", fired, len(plan.alarms))
    found, notes = alarms.result(), [*dict.fromkeys(errors), *alarms.notes]
    ledger = Ledger(
        sent=len(sent),
        unsent=request.count - len(sent),
        processed=sum(record["status"] == "processed" for record in ended.values()),
        dead=sum(record["status"] == "dead" for record in ended.values()),
        waiting=waiting,
        lost=lost,
        doubled=sum(report.doubled(record) for record in ended.values()),
    )
    removed = Removed()
    if not stop.abort.is_set():
        yield Progress("removed", 0, len(ended))
        removed, failures = cleanup.remove(
            target,
            cleanup.Left(run=run, identities=list(ended), dead=ledger.dead, since_ms=since_ms, until_ms=times.now_ms()),
            stop=pool.Stop(drain=stop.abort, abort=stop.abort),  # the first interrupt ends the waits above alone
            notify=notify,
            clock=clock,
        )
        notes = [*notes, *failures]
        if not (waiting or failures):
            begun.ended(drills, this)
    if waiting:
        look = suggest.command("rtp", "records", type=wire.DRILL)
        stays = f"{waiting:,} events had not ended; what they leave stays"
        notes = [*notes, stays + suggest.sentence("; see {}", look)]
    ends = [end for record in ended.values() if (end := report.ended_at(record)) is not None]
    return Drill(
        run=run,
        fault=request.fault.value,
        count=request.count,
        expected=plan.expected,
        ledger=ledger,
        ends=report.ends(ended.values()),
        first_end_s=_seconds(min(ends, default=None), since_ms),
        last_end_s=_seconds(max(ends, default=None), since_ms),
        alarms=found,
        removed=removed,
        stays=list(STAYS),
        notes=notes,
        duration_s=round(clock.monotonic() - began, 1),
    )


def _send(
    target: Target,
    run: str,
    events: list[tuple[Identity, dict[str, object]]],
    plan: Plan,
    errors: list[str],
    stop: Stop,
    clock: Clock,
) -> Iterator[Identity]:
    """Send the events' messages, and yield the identity of each that SQS took, once. errors: gets why it did not."""
    copies = [event for event in events for _ in range(plan.copies)]
    rate = len(copies) / plan.spread_s if plan.spread_s else None
    size = queues.BATCH if rate is None else max(1, min(queues.BATCH, int(rate)))

    def send(batch: list[tuple[Identity, dict[str, object]]]) -> list[Identity]:
        attributes = {wire.DRILL_RUN: queues.attribute(run)}
        messages = [queues.Outgoing(_body(*event), attributes, trace_header(trace_id())) for event in batch]
        try:
            receipts = queues.send(target.aws, target.queue_url, messages)
        except RtpError as error:  # what was sent before is to be followed and removed
            receipts = [queues.Receipt(error=error.message) for _ in batch]
        errors.extend(f"messages were not sent: {receipt.error}" for receipt in receipts if receipt.error)
        return [identity for (identity, _), receipt in zip(batch, receipts, strict=True) if not receipt.error]

    batches = (copies[start : start + size] for start in range(0, len(copies), size))
    sent: set[Identity] = set()
    for identity in pool.each(batches, send, threads=_CONCURRENCY, stop=stop, rate=rate, weigh=len, clock=clock):
        if identity not in sent:
            sent.add(identity)
            yield identity


def _body(identity: Identity, data: dict[str, object]) -> str:
    return json.dumps({"id": identity.id, "timestamp": identity.timestamp, "type": wire.DRILL, "data": data})


def _followed(
    target: Target,
    sent: set[Identity],
    ended: dict[Identity, Record],
    errors: list[str],
    left_s: Callable[[], float],
    stop: Stop,
    clock: Clock,
) -> Iterator[tuple[Record, bool]]:
    """The records as they are read, until all events are in `ended` or the time is over. errors: what failed."""
    while True:
        pending = sorted(sent - ended.keys())
        try:
            yield from outcome.poll(target.aws, target.table, pending, timeout_s=left_s(), stop=stop, clock=clock)
            return
        except AwsError as error:  # after it there is still a ledger, and something to remove
            errors.append(f"records could not be read: {error.message}")
            if not error.passes or not left_s() or clock.wait(stop.drain, _AGAIN_S):
                return


def _settled(
    target: Target, identities: list[Identity], errors: list[str], seconds: float, stop: Stop, clock: Clock
) -> dict[Identity, Record]:
    """The records once the queue is empty, or at the end of the time: second copies may come late."""
    try:
        is_empty(target, stop, clock, within_s=seconds)
        found = records.by_keys(target.aws, target.table, identities)
    except AwsError as error:
        errors.append(f"events that were processed twice could not be looked for: {error.message}")
        return {}
    return {outcome.identity(record): record for record in found}


def _rest(
    target: Target,
    sent: set[Identity],
    known: dict[Identity, Record],
    ended: dict[Identity, Record],
    stop: Stop,
    clock: Clock,
) -> tuple[int, int]:
    """How many events wait, and how many are lost: without a record although the queue is empty for sure."""
    not_ended = len(sent) - len(ended)
    missing = sorted(sent - known.keys())
    try:
        if not missing or not is_empty(target, stop, clock):
            return not_ended, 0
        lost = len(missing) - len(records.by_keys(target.aws, target.table, missing))
    except RtpError:
        return not_ended, 0
    return not_ended - lost, lost


def _seconds(at_ms: int | None, since_ms: int) -> float | None:
    return None if at_ms is None else round(max(0, at_ms - since_ms) / 1000, 1)
