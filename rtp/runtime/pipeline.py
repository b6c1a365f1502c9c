"""The pipeline: read, archive, claim, run, judge, record, close. Each stage takes the values of the stage before it.

A delivery that ends at a stage passes the other stages as Ended. After a crash at any stage the next delivery completes
the event: the raw object is written before any record, the result object and the emitted events before the record
becomes `processed`. One object has the raw events of a batch, one the results of a group.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from rtp.runtime import calls, claiming, closing, jsontext, logs, outcomes, recording, running, wire
from rtp.runtime.delivery import Archived, Attempt, Claimed, Suspect
from rtp.runtime.outcomes import Busy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rtp.runtime.delivery import Ended, Received
    from rtp.runtime.event import Identity
    from rtp.runtime.invocation import Invocation
    from rtp.runtime.outcomes import Outcome


def process(invocation: Invocation, batch: Sequence[Received]) -> list[Outcome]:
    """Process a batch, and return the outcome of each delivery in order. A failure of one affects no other.

    Of several events with one identity and different content, each is processed after the one before it has ended.
    """
    firsts: dict[Identity, Received] = {}
    for received in batch:
        firsts.setdefault(received.event.identity, received)
    others = [one for one in batch if one.event.digest != firsts[one.event.identity].event.digest]
    ended = list(_process(invocation, list(firsts.values())))
    end_of = {end.received.event.identity: end for end in ended}

    def share(duplicate: Received) -> Ended:
        return closing.share(invocation, duplicate, end_of[duplicate.event.identity])

    apart = {id(one) for one in (*firsts.values(), *others)}
    ended += invocation.runtime.each(share, [received for received in batch if id(received) not in apart])
    outcome_of = {id(end.received): end.outcome for end in ended}
    outcome_of |= _next_round(invocation, others)
    return [outcome_of[id(received)] for received in batch]


def _next_round(invocation: Invocation, others: Sequence[Received]) -> dict[int, Outcome]:
    """Process events that waited for others with their identity; return the outcomes by id of the delivery."""
    if not others:
        return {}
    is_late = not invocation.deadline.has_share()
    late = [one for one in others if is_late and not one.delivery.is_last]
    outcome_of: dict[int, Outcome] = {
        id(one): closing.close(invocation, one, Busy(0, is_postponed=True)).outcome for one in late
    }
    rest = [one for one in others if id(one) not in outcome_of]
    outcomes_of_rest = process(invocation.another_round(), rest)
    return outcome_of | {id(one): outcome for one, outcome in zip(rest, outcomes_of_rest, strict=True)}


def _process(invocation: Invocation, batch: Sequence[Received]) -> Iterator[Ended]:
    if not batch:
        return
    items = claiming.claim(invocation, _archive(invocation, batch))
    suspects = [item for item in items if isinstance(item, Suspect)]
    numbers = itertools.count(1)
    yield from _run(invocation, [item for item in items if not isinstance(item, Suspect)], numbers)
    # What has no later delivery is claimed at once, so that its record is dead if one before it kills the function.
    last = _in_turn([one for one in suspects if one.received.delivery.is_last])
    for claimed in [claiming.claim_alone(invocation, one) for one in last]:
        yield from _alone(invocation, claimed, numbers)
    for suspect in _in_turn([one for one in suspects if not one.received.delivery.is_last]):
        if not invocation.deadline.has_share():
            yield closing.close(invocation, suspect.received, Busy(0, is_postponed=True))
        else:
            yield from _alone(invocation, claiming.claim_alone(invocation, suspect), numbers)


def _run(invocation: Invocation, items: Sequence[Claimed | Attempt | Ended], numbers: Iterator[int]) -> Iterator[Ended]:
    for group in running.run(invocation, items):
        yield from recording.record(invocation, group, next(numbers))


def _alone(invocation: Invocation, item: Claimed | Suspect | Ended, numbers: Iterator[int]) -> Iterator[Ended]:
    if not isinstance(item, Suspect):
        yield from _run(invocation, [item], numbers)


def _in_turn(suspects: Sequence[Suspect]) -> list[Suspect]:
    """Order events of which one may kill the function: those after it in one delivery are before it in the next."""
    ordered = sorted(suspects, key=lambda one: one.received.event.identity)
    is_odd = any(one.received.delivery.receives % 2 for one in ordered)
    return ordered[::-1] if is_odd else ordered


def _archive(invocation: Invocation, batch: Sequence[Received]) -> Sequence[Archived | Attempt | Ended]:
    """Store the raw events, exactly as received, before anything else is done with them."""
    runtime, now = invocation.runtime, invocation.runtime.clock()
    try:
        lines = [_line(received, now) for received in batch]
        with calls.on_behalf_of(batch):
            key = runtime.archive.write_lines(wire.RAW_PREFIX, invocation.id, lines, now)
    except Exception as failure:
        for received in batch:
            _log(received)
        return _unarchived(invocation, batch, failure)
    origins = [received.origin(f"{key}#{number}") for number, received in enumerate(batch)]
    with logs.together():
        for received, origin in zip(batch, origins, strict=True):
            _log(received, raw_key=origin.raw_key)
    return [Archived(received, origin) for received, origin in zip(batch, origins, strict=True)]


def _unarchived(invocation: Invocation, batch: Sequence[Received], failure: Exception) -> list[Attempt | Ended]:
    """End deliveries that could not be archived. A last attempt still gets a record with the reason."""

    def end(received: Received) -> Attempt | Ended:
        if received.delivery.is_last:
            return Attempt(Claimed(received, received.origin()), error=failure, is_outage=True)
        return closing.close(invocation, received, outcomes.outage("archive", failure))

    return invocation.runtime.each(end, batch)


def _line(received: Received, now: float) -> str:
    delivery = received.delivery
    line = {
        "id": received.event.id,
        "timestamp": received.event.timestamp,
        "source": delivery.source,
        "request_id": delivery.request_id,
        "received_at": int(now * 1000),
        "body": delivery.body,
    }
    return jsontext.dumps(line)


def _log(received: Received, **fields: Any) -> None:
    delivery = received.delivery
    fields = {"source": delivery.source, "receives": delivery.receives, **logs.fingerprint(delivery.body), **fields}
    message = "event received and archived" if "raw_key" in fields else "event received"
    received.log(logs.info, "received", message, **fields)
