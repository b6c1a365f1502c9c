"""End attempts: queue emitted events, archive results, judge, write the records, and close the deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.runtime import calls, claiming, closing, dlqnote, jsontext, logs, outcomes, wire
from rtp.runtime.claims import Ending
from rtp.runtime.delivery import Attempt, Ended, Judged
from rtp.runtime.store import UncoveredError
from rtp.runtime.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.runtime.invocation import Invocation
    from rtp.runtime.outcomes import Outcome


def record(invocation: Invocation, group: Sequence[Attempt | Ended], number: int) -> list[Ended]:
    """Record how a group of attempts ended, and close their deliveries. number: of the group, from 1."""
    attempts = [item for item in group if isinstance(item, Attempt)]
    published = _archive(invocation, _emit(invocation, attempts), number)
    claimed = _claim(invocation, published)
    judged = [_judge(invocation, item) for item in claimed if isinstance(item, Attempt)]
    return [
        *(item for item in group if not isinstance(item, Attempt)),
        *(item for item in claimed if not isinstance(item, Attempt)),
        *_write(invocation, judged),
    ]


def _emit(invocation: Invocation, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Queue the events that successful attempts emitted; an attempt whose events cannot be queued fails."""

    def emit(attempt: Attempt) -> Attempt:
        try:
            source = "replay" if attempt.received.delivery.is_of_replay else "queue"
            invocation.runtime.queues.emit(attempt.emitted, source=source, trace=attempt.trace.header)
        except Exception as failure:
            return attempt._replace(error=failure, is_outage=True)
        return attempt

    emitting = [attempt for attempt in attempts if attempt.emitted]
    return [attempt for attempt in attempts if not attempt.emitted] + invocation.runtime.each(emit, emitting)


def _archive(invocation: Invocation, attempts: Sequence[Attempt], number: int) -> list[Attempt]:
    """Archive the results of successful attempts in one object; without the archive they fail."""
    runtime, now = invocation.runtime, invocation.runtime.clock()
    failed = [attempt for attempt in attempts if attempt.error is not None]
    successful: list[Attempt] = []
    lines: list[str] = []
    for attempt in attempts:
        if attempt.error is None:
            try:
                lines.append(_line(attempt, now))
                successful.append(attempt)
            except Exception as failure:  # its own, which must not fail the others of the object
                failed.append(attempt._replace(error=failure))
    if not successful:
        return failed
    try:
        with calls.on_behalf_of(successful):
            runtime.archive.write_lines(wire.PROCESSED_PREFIX, f"{invocation.id}-{number}", lines, now)
    except Exception as failure:
        return failed + [attempt._replace(error=failure, is_outage=True) for attempt in successful]
    return failed + successful


def _claim(invocation: Invocation, attempts: Sequence[Attempt]) -> list[Attempt | Ended]:
    """Claim the events of failed attempts that have no claim: an event that is stored as is needs one only to fail."""
    unclaimed = [attempt for attempt in attempts if attempt.error is not None and attempt.claimed.claim is None]
    others = [attempt for attempt in attempts if attempt.error is None or attempt.claimed.claim is not None]
    return [*others, *invocation.runtime.each(lambda attempt: claiming.claim_late(invocation, attempt), unclaimed)]


def _judge(invocation: Invocation, attempt: Attempt) -> Judged:
    received, claimed = attempt.received, attempt.claimed
    verdict = judge(
        attempt.error,
        attempt.result,
        started=received.started,
        number=claimed.number,
        is_last=claimed.is_last,
        is_outage=attempt.is_outage,
    )
    ending = Ending(received.event, claimed.origin, claimed.claim, verdict)
    if not verdict.is_dead:
        return Judged(received, ending)
    now, days = invocation.runtime.clock(), invocation.runtime.settings.dlq_retention_days
    note = dlqnote.of(received.delivery, now, by_sqs=not verdict.is_refused)
    noted = claimed.claim.noted if claimed.claim else None
    is_covered = dlqnote.covers(noted, note, received.delivery, now=now, retention_days=days)
    return Judged(received, ending._replace(note=note, is_covered=is_covered))


def _write(invocation: Invocation, judged: Sequence[Judged]) -> list[Ended]:
    """Write the records, successes in one call where there are several, and close the deliveries."""
    successful = [one for one in judged if one.ending.verdict.kind == "processed"]
    others = [one for one in judged if one.ending.verdict.kind != "processed"]
    answers = _write_together(invocation, successful)
    singly = [one for one, answer in zip(successful, answers, strict=True) if answer is None]
    return [
        *(answer for answer in answers if answer is not None),
        *invocation.runtime.each(lambda one: _write_one(invocation, one), [*singly, *others]),
    ]


def _write_together(invocation: Invocation, judged: Sequence[Judged]) -> Sequence[Ended | None]:
    """Write records in one call; None for each that has to be written singly."""
    if len(judged) < 2:
        return [None] * len(judged)
    try:
        with calls.on_behalf_of(judged):
            written = invocation.runtime.store.finish_all([one.ending for one in judged])
    except Exception as failure:
        downs = [Ended(one.received, outcomes.outage("record", failure, one.ending.claim)) for one in judged]
        return invocation.runtime.each(lambda down: closing.close(invocation, *down), downs)
    with logs.together():
        return [
            closing.close(invocation, one.received, outcomes.settled(one.ending)) if done else None
            for one, done in zip(judged, written, strict=True)
        ]


def _write_one(invocation: Invocation, judged: Judged) -> Ended:
    return closing.close(invocation, judged.received, _outcome(invocation, judged))


def _outcome(invocation: Invocation, judged: Judged) -> Outcome:
    ending = judged.ending
    try:
        try:
            taken = invocation.runtime.store.finish(ending)
        except UncoveredError:
            ending = ending._replace(is_covered=False)
            taken = invocation.runtime.store.finish(ending)
    except Exception as failure:
        return outcomes.outage("record", failure, ending.claim)
    if taken is None:
        return outcomes.settled(ending)
    return outcomes.taken(taken, judged.received.delivery.message_id)


def _line(attempt: Attempt, now: float) -> str:
    event = attempt.received.event
    line = {
        "id": event.id,
        "timestamp": event.timestamp,
        "type": event.type,
        "source": attempt.received.delivery.source,
        "trace_id": attempt.trace.id,
        "processed_at": int(now * 1000),
        "data": event.data,
        "result": attempt.result,
    }
    return jsontext.dumps(line)
