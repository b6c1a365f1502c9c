"""End a delivery: its message, log lines, metrics and trace all follow from the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.runtime import dlqnote, errors, logs, outcomes, retry
from rtp.runtime.delivery import Ended
from rtp.runtime.outcomes import Busy, Conflict, Duplicate, Outage, Settled

if TYPE_CHECKING:
    from rtp.runtime.delivery import Received
    from rtp.runtime.dlqnote import DlqNote
    from rtp.runtime.invocation import Invocation
    from rtp.runtime.outcomes import Outcome
    from rtp.runtime.verdict import Verdict


def close(invocation: Invocation, received: Received, outcome: Outcome) -> Ended:
    """End a delivery: a refused event's message moves to the DLQ, one that is not done is delivered again."""
    if isinstance(outcome, Conflict) and received.delivery.is_emission:
        outcome = Duplicate(is_emitted_again=True)
    final = _dead_letter(invocation, received, outcome)
    _report(invocation, received, final)
    _hide(invocation, received, final)
    match final:
        case Settled(verdict):
            received.trace.end(verdict.cause, rejected=verdict.is_refused)
        case Outage(cause=cause):
            received.trace.end(cause)
        case Conflict():
            received.trace.end(final.cause, rejected=True)
        case _:
            received.trace.end()
    return Ended(received, final)


def share(invocation: Invocation, received: Received, first: Ended) -> Ended:
    """End the second delivery of the same event, with the same content, in a batch by the outcome of the first."""
    match first.outcome:
        case Busy(lease_until, message_id):  # the other delivery may be of this same message
            return close(invocation, received, outcomes.busy(lease_until, message_id, received.delivery.message_id))
        case Settled(verdict) if first.outcome.is_done:
            invocation.metrics.add(received.event.type, "EventsDuplicate")
            shared: Outcome = Duplicate(verdict.result, trace_id=first.received.trace.id)
        case Settled(verdict, note=note) if verdict.is_dead and _is_copy(invocation, received, note):
            shared = first.outcome._replace(is_covered=True)
        case _:
            shared = first.outcome
    received.log(logs.info, "duplicate", "the same event is in this batch twice")
    _hide(invocation, received, shared)
    received.trace.end()
    return Ended(received, shared)


def _is_copy(invocation: Invocation, received: Received, noted: DlqNote | None) -> bool:
    """Whether the message that SQS moves to the DLQ for the first delivery covers this one too."""
    now, days = invocation.runtime.clock(), invocation.runtime.settings.dlq_retention_days
    own = dlqnote.of(received.delivery, now, by_sqs=True)
    return dlqnote.covers(noted, own, received.delivery, now=now, retention_days=days)


def _dead_letter(invocation: Invocation, received: Received, outcome: Outcome) -> Outcome:
    """Move the message of a refused event to the DLQ. If that fails, it is delivered and refused again."""
    if isinstance(outcome, Conflict):
        return outcome if received.delivery.is_request else _dead_letter_conflict(invocation, received, outcome)
    if not isinstance(outcome, Settled) or not outcome.verdict.is_refused or outcome.verdict.error is None:
        return outcome
    if outcome.is_covered:
        return outcome
    try:
        invocation.runtime.queues.dead_letter(received.delivery, outcome.verdict.error, trace=received.trace.header)
    except Exception as failure:
        return Outage("dlq", failure, outcome.lease_until)
    if outcome.note is not None:
        try:
            invocation.runtime.store.note_sent(received.event.identity, outcome.note)
        except Exception as failure:  # a repeat of the event then leaves a second message, and none is lost
            received.log(logs.warning, "dlq", f"AWS call failed: {errors.describe(failure).message}")
    return outcome


def _dead_letter_conflict(invocation: Invocation, received: Received, conflict: Conflict) -> Outcome:
    """Move the message of an event whose identity another event has to the DLQ, and count it on that one's record."""
    invalid = received.reading.invalid
    error = conflict.error if invalid is None else errors.info("InvalidEvent", str(invalid))
    try:
        invocation.runtime.queues.dead_letter(received.delivery, error, trace=received.trace.header)
    except Exception as failure:
        return Outage("dlq", failure)
    try:
        invocation.runtime.store.count_conflict(received.event.identity)
    except Exception as failure:  # the message in the DLQ says it too
        received.log(logs.warning, "conflict", f"AWS call failed: {errors.describe(failure).message}")
    return conflict


def _report(invocation: Invocation, received: Received, outcome: Outcome) -> None:
    """Count and log the outcome."""
    count, type = invocation.metrics.add, received.event.type
    match outcome:
        case Settled(verdict, is_covered=is_covered):
            _report_verdict(invocation, received, verdict)
            if is_covered:
                received.log(logs.info, "covered", "dead again: its message of before is still in the DLQ")
        case Outage(step, cause):
            count(type, "EventsFailed")
            error = errors.describe(cause)
            message = f"AWS call failed: {error.message}"
            received.log(logs.error, step, message, error_type=error.type, stack=logs.stack(cause))
        case Duplicate(is_emitted_again=True):
            count(type, "EventsDuplicate")
            message = (
                "dropped: the event that emitted it was attempted twice, with other data; the first emission stays"
            )
            received.log(logs.warning, "duplicate", message)
        case Duplicate():
            count(type, "EventsDuplicate")
            received.log(logs.info, "duplicate", "already processed")
        case Conflict():
            count(type, "EventsConflicting")
            if not received.delivery.is_request:
                count(type, "EventsDead")
            error = outcome.error
            received.log(logs.warning, "conflict", error.message, error_type=error.type, signature=error.signature)
        case Busy(is_postponed=True):
            message = "no time is left for the event, which is to run apart from the others of its batch"
            received.log(logs.info, "postponed", message)
        case Busy(is_absorbed=is_absorbed):
            if is_absorbed:
                count(type, "EventsDuplicate")
            message = "another delivery is processing the event"
            received.log(logs.info, "busy", message, absorbed=is_absorbed)


def _report_verdict(invocation: Invocation, received: Received, verdict: Verdict) -> None:
    count, type = invocation.metrics.add, received.event.type
    if verdict.is_dead:
        count(type, "EventsDead")
    if verdict.error is None or verdict.cause is None:
        duration = max(0.0, (invocation.runtime.clock() - received.started) * 1000)
        count(type, "EventsProcessed")
        count(type, "ProcessingTime", duration)
        fields: dict[str, Any] = {"attempt": verdict.number, "duration_ms": round(duration, 1)}
        received.log(logs.info, "processed", "event processed", **fields)
        return
    error = verdict.error
    fields = {"error_type": error.type, "signature": error.signature}
    if verdict.is_refused:
        count(type, "EventsRejected")
        received.log(logs.warning, "rejected", error.message, **fields)
        return
    count(type, "EventsFailed")
    fields = {"attempt": verdict.number, **fields, "stack": logs.stack(verdict.cause)}
    write, step = (logs.error, "dead") if verdict.is_dead else (logs.warning, "failed")
    received.log(write, step, error.message, **fields)


def _hide(invocation: Invocation, received: Received, outcome: Outcome) -> None:
    """Hide a message until its event's next attempt. If that fails, the queue's own timeout applies."""
    runtime, delivery = invocation.runtime, received.delivery
    if outcome.is_done or not delivery.receipt_handle:
        return
    seconds = retry.pause(outcome, delivery, runtime.settings, runtime.clock())
    try:
        runtime.queues.hide(delivery.receipt_handle, seconds)
    except Exception as failure:
        message = f"the message is visible again after the queue's own timeout: {errors.describe(failure).message}"
        received.log(logs.warning, "delayed", message)
        return
    message = f"the message is visible again in {seconds} s" if seconds else "the message is visible again at once"
    if delivery.is_last and not seconds:
        message = "the last attempt: SQS moves the message to the DLQ"
    received.log(logs.info, "delayed", message, seconds=seconds)
