"""The end of an attempt: emitted events, the result's archive, the record, then the message.

Processed: the message has served. Rejected: the record is dead, and the message goes to the dead-letter queue with the
reason. Failed: the message comes back after a delay, or, after its last attempt, SQS moves it to the dead-letter queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.runtime import errors, logs, queue, wire
from rtp.runtime.delivery import Outcome, origin, repeat, step
from rtp.runtime.event import InvalidEventError
from rtp.runtime.items import Claim, Ending
from rtp.runtime.registry import Reject
from rtp.runtime.store import Busy, Known, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.runtime.boot import Runtime
    from rtp.runtime.delivery import Job
    from rtp.runtime.metrics import Metrics


class Settlement:
    """Brings jobs whose processing is over to their outcome."""

    def __init__(self, runtime: Runtime, metrics: Metrics, *, name: str) -> None:
        self._runtime = runtime
        self._metrics = metrics
        self._name = name
        self._groups = 0

    def settle(self, jobs: Sequence[Job]) -> None:
        """Write down how a group ended."""
        self._runtime.each(self._emit, [job for job in jobs if job.error is None and job.event.emitted])
        if done := [job for job in jobs if job.error is None]:
            self._archive(done)
        written = self._write_together([job for job in jobs if job.error is None])
        with logs.together():
            for job in written:
                self._processed(job)
        self._runtime.each(self._end, [job for job in jobs if job.outcome is None])

    def outage(self, job: Job, during: str, failure: BaseException) -> None:
        """AWS failed us: the event comes again later, and nothing is said against it."""
        error = errors.describe(failure)
        self._count(job, "EventsFailed")
        step(
            job,
            logs.error,
            during,
            f"AWS call failed: {error.message}",
            error_type=error.type,
            stack=logs.stack(failure),
        )
        self._close(job, Outcome("failed", error=error, outage=True), failure)

    def taken(self, job: Job, by: Known | Busy) -> None:
        """The event is not this delivery's to do: it has been processed, or another delivery is at it."""
        if isinstance(by, Known):
            self._count(job, "EventsDuplicate")
            step(job, logs.info, "duplicate", "already processed")
            self._close(job, repeat(by))
            return
        self._busy(job, until=by.until, by=by.message_id)

    def adopt(self, job: Job, first: Job) -> None:
        """A second delivery of an event in the same batch shares the first one's outcome."""
        outcome = first.outcome or Outcome("failed", error=errors.info("NotSettled", "the batch came to no end"))
        if outcome.kind == "busy":
            self._busy(job, until=outcome.until, by=outcome.by)  # which may be this very message
            return
        if outcome.kind == "rejected" and job.delivery.body != first.delivery.body:
            self._busy(job, until=0, by="")  # another text of the same name is judged by itself
            return
        if outcome.kind in ("processed", "rejected"):
            outcome = Outcome("repeat", result=outcome.result, trace_id=first.trace.id)
            self._count(job, "EventsDuplicate")
        step(job, logs.info, "duplicate", "the same event came twice in this batch")
        self._close(job, outcome)

    def unarchived(self, job: Job, failure: BaseException) -> None:
        """The archive cannot be had. The last attempt still leaves a record that says why the event died."""
        if not job.delivery.last:
            self.outage(job, "archive", failure)
            return
        job.error, job.outage = failure, True
        self._end(job)

    def _busy(self, job: Job, *, until: float, by: str) -> None:
        """Leave the event to the delivery that has it. Its message stands for both if it is another one than ours."""
        other = bool(by) and bool(job.delivery.message_id) and by != job.delivery.message_id
        step(job, logs.info, "busy", "another delivery is processing the event", absorbed=other)
        if other:
            self._count(job, "EventsDuplicate")
        self._close(job, Outcome("busy", absorbed=other, by=by, until=until))

    def _emit(self, job: Job) -> None:
        runtime = self._runtime
        try:
            with runtime.traced([job], "SQS", "SendMessageBatch", queue_url=runtime.settings.queue_url):
                runtime.queues.emit(job.event.emitted, trace=job.trace.header)
        except Exception as failure:
            job.error, job.outage = failure, True

    def _archive(self, jobs: Sequence[Job]) -> None:
        runtime, now = self._runtime, self._runtime.clock()
        self._groups += 1
        try:
            with runtime.traced(jobs, "S3", "PutObject", bucket_name=runtime.settings.bucket):
                lines = [_result_line(job, now) for job in jobs]
                runtime.archive.write_lines(wire.PROCESSED_PREFIX, f"{self._name}-{self._groups}", lines, now)
        except Exception as failure:
            for job in jobs:
                job.error, job.outage = failure, True

    def _write_together(self, jobs: Sequence[Job]) -> list[Job]:
        """Write the records of processed events, in a call for each kind; gives back those that were written."""
        if len(jobs) < 2:
            return []
        runtime = self._runtime
        kept = [job for job in jobs if job.claim is None]
        claimed = [job for job in jobs if job.claim is not None]
        try:
            with runtime.traced(jobs, "DynamoDB", "BatchExecuteStatement", table_name=runtime.settings.table):
                done = runtime.store.keep_all([(job.event, origin(job), job.started) for job in kept])
                done += runtime.store.finish_all(
                    [(job.event, origin(job), job.claim, _ending(job)) for job in claimed if job.claim is not None]
                )
        except Exception as failure:
            for job in jobs:
                self.outage(job, "record", failure)
            return []
        return [job for job, did in zip([*kept, *claimed], done, strict=True) if did]

    def _end(self, job: Job) -> None:
        try:
            taken = self._written(job)
        except Exception as failure:
            self.outage(job, "record", failure)
            return
        if taken is not None:
            self.taken(job, taken)
        elif job.error is None:
            self._processed(job)
        elif isinstance(job.error, (Reject, InvalidEventError)):
            self._rejected(job, job.error)
        else:
            self._failed(job, job.error)

    def _written(self, job: Job) -> Known | Busy | None:
        runtime = self._runtime
        with runtime.traced(
            [job], "DynamoDB", "UpdateItem" if job.claim else "PutItem", table_name=runtime.settings.table
        ):
            if job.claim is None and job.error is None:
                try:
                    return runtime.store.keep(job.event, origin(job), job.started)
                except LookupError:
                    pass  # an unfinished record from a time when there was a processor, or of a killed delivery
            if job.claim is None:
                wanted = Wanted.of(job.event, origin(job), until=runtime.clock(), last=False)
                taken = runtime.store.claim(wanted)
                if not isinstance(taken, Claim):
                    return taken
                job.claim = taken
            return runtime.store.finish(job.event, origin(job), job.claim, _ending(job))

    def _processed(self, job: Job) -> None:
        duration = max(0.0, (self._runtime.clock() - job.started) * 1000)
        self._count(job, "EventsProcessed")
        self._metrics.add(job.event.type, "ProcessingTime", duration)
        step(job, logs.info, "processed", "event processed", attempt=job.event.attempt, duration_ms=round(duration, 1))
        self._close(job, Outcome("processed", result=job.result))

    def _rejected(self, job: Job, verdict: Exception) -> None:
        error = _error(verdict)
        self._count(job, "EventsRejected")
        self._count(job, "EventsDead")
        step(job, logs.warning, "rejected", error.message, error_type=error.type, signature=error.signature)
        try:
            self._bury(job, error)
        except Exception as failure:
            self.outage(job, "bury", failure)
            return
        self._close(job, Outcome("rejected", error=error), verdict)

    def _bury(self, job: Job, error: errors.ErrorInfo) -> None:
        runtime, delivery = self._runtime, job.delivery
        own = {
            wire.SOURCE: delivery.source,
            wire.REQUEST_ID: delivery.fallback.id,
            wire.REQUEST_TIME: str(delivery.fallback.timestamp),
        }
        with runtime.traced([job], "SQS", "SendMessage", queue_url=runtime.settings.dlq_url):
            received = queue.sendable(delivery.attributes)
            runtime.queues.bury(delivery.body, received, error, own=own, trace=job.trace.header)

    def _failed(self, job: Job, failure: BaseException) -> None:
        error, last = _error(failure), job.last
        self._count(job, "EventsFailed")
        if last:
            self._count(job, "EventsDead")
        fields: dict[str, Any] = {
            "attempt": job.event.attempt,
            "error_type": error.type,
            "signature": error.signature,
            "stack": logs.stack(failure),
        }
        step(job, logs.error if last else logs.warning, "dead" if last else "failed", error.message, **fields)
        self._close(job, Outcome("failed", error=error, outage=job.outage), failure)

    def _close(self, job: Job, outcome: Outcome, failure: BaseException | None = None) -> None:
        job.outcome = outcome
        if not outcome.done and job.delivery.receipt_handle:
            self._delay(job, outcome)
        job.trace.end(failure, rejected=outcome.kind == "rejected")

    def _delay(self, job: Job, outcome: Outcome) -> None:
        """Say when the message comes back. If that fails, it comes back after the queue's own visibility timeout."""
        runtime, delivery = self._runtime, job.delivery
        seconds = self._seconds(job, outcome)
        try:
            with runtime.traced([job], "SQS", "ChangeMessageVisibility", queue_url=runtime.settings.queue_url):
                runtime.queues.delay(delivery.receipt_handle, seconds)
            back = f"the message comes back in {seconds} s" if seconds else "the message comes back at once"
            told = "the last attempt; off to the DLQ" if job.last and not seconds else back
            step(job, logs.info, "delayed", told, seconds=seconds)
        except Exception as failure:
            step(
                job,
                logs.warning,
                "delayed",
                f"the message comes back when the queue lets it: {errors.describe(failure).message}",
            )

    def _seconds(self, job: Job, outcome: Outcome) -> int:
        settings, delivery = self._runtime.settings, job.delivery
        if outcome.outage or outcome.kind == "busy":
            lease = outcome.until or (job.claim.until if job.claim else 0)
            left = min(900, int(max(0.0, lease - self._runtime.clock())) + 1) if lease else 0
            return max(left, queue.outage_backoff(delivery.receives) if outcome.outage else 1)
        if job.last:
            return 0  # SQS moves it to the dead-letter queue as soon as it may
        return queue.backoff(delivery.receives, base=settings.backoff_base, cap=settings.backoff_cap)

    def _count(self, job: Job, name: str) -> None:
        self._metrics.add(job.event.type, name)


def _ending(job: Job) -> Ending:
    if job.error is None:
        return Ending(status="processed", outcome="processed", started=job.started, result=job.result)
    rejected = isinstance(job.error, (Reject, InvalidEventError))
    status = "dead" if rejected or job.last else "failed"
    return Ending(
        status=status,
        outcome="rejected" if rejected else "failed",
        started=job.started,
        error=_error(job.error),
    )


def _error(failure: BaseException) -> errors.ErrorInfo:
    if isinstance(failure, InvalidEventError):
        return errors.info("InvalidEvent", str(failure))
    return errors.describe(failure)


def _result_line(job: Job, now: float) -> dict[str, Any]:
    event = job.event
    return {
        "id": event.id,
        "timestamp": event.timestamp,
        "type": event.type,
        "source": job.delivery.source,
        "trace_id": job.trace.id,
        "processed_at": int(now * 1000),
        "data": event.data,
        "result": job.result,
    }
