"""The life of a batch: archive what came, claim, process, and settle.

Each step leaves a state that the next delivery completes: the raw object comes before any record, the result object and
the emitted events before the record says `processed`. One object holds a batch's raw events, one a group's results.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rtp.runtime import event, jsontext, logs, models, running, tracing, wire
from rtp.runtime.delivery import Delivery, Job, origin, step, subject
from rtp.runtime.errors import OutOfTimeError
from rtp.runtime.items import Claim
from rtp.runtime.registry import Processor
from rtp.runtime.settling import Settlement
from rtp.runtime.store import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from concurrent.futures import Future

    from rtp.runtime.boot import Runtime
    from rtp.runtime.deadline import Deadline
    from rtp.runtime.metrics import Metrics


def read(runtime: Runtime, delivery: Delivery, metrics: Metrics) -> Job:
    """A delivery as a job, with its event and processor, or with what is wrong with it."""
    invalid, model, handled = None, None, None
    try:
        made = event.parse(delivery.body, delivery.fallback)
        handled = runtime.registry.get(made.type)
        if handled is not None and handled.data is not None:
            model = models.fit(handled.data, made.data)
    except event.InvalidEventError as error:
        invalid = error
        made = event.Event(id=error.identity.id, timestamp=error.identity.timestamp, type=error.type, data=None)
    except models.MismatchError as error:
        invalid = event.InvalidEventError(error.problems, made.identity, made.type)
    except Exception as error:  # out of the model's own code
        handled = Processor(made.type, _raiser(error))
    trace = tracing.begin(delivery.trace_header, name=runtime.settings.function, event_id=made.id, event_type=made.type)
    made.source, made.request_id, made.depth, made.trace_id = (
        delivery.source,
        delivery.request_id,
        delivery.depth,
        trace.id,
    )
    job = Job(delivery, made, invalid, handled, trace, started=runtime.clock(), model=model)
    if delivery.sent:
        metrics.add(made.type, "AgeAtProcessing", max(0.0, (job.started - delivery.sent) * 1000))
    return job


class Pipeline:
    """One invocation's way through the runtime's parts; archived objects are named after the invocation."""

    def __init__(self, runtime: Runtime, deadline: Deadline, metrics: Metrics, *, name: str) -> None:
        self._runtime = runtime
        self._deadline = deadline
        self._name = name
        self._settlement = Settlement(runtime, metrics, name=name)

    def process(self, jobs: Sequence[Job]) -> None:
        """Bring every job to its outcome. What goes wrong with one touches no other."""
        first_of: dict[event.Identity, Job] = {}
        for job in jobs:
            first_of.setdefault(job.event.identity, job)
        firsts = list(first_of.values())
        if firsts and self._archived(firsts):
            claimed = self._claimed(firsts)
            for group in self._run(claimed):
                self._settlement.settle(group)
        for job in jobs:
            if job.outcome is None:
                self._settlement.adopt(job, first_of[job.event.identity])

    def _archived(self, jobs: Sequence[Job]) -> bool:
        """Keep what came, as it came, before anything is done with it."""
        runtime, now = self._runtime, self._runtime.clock()
        try:
            with runtime.traced(jobs, "S3", "PutObject", bucket_name=runtime.settings.bucket):
                lines = [_raw_line(job, now) for job in jobs]
                key = runtime.archive.write_lines(wire.RAW_PREFIX, self._name, lines, now)
        except Exception as failure:
            for job in jobs:
                _received(job)
            cause = failure
            runtime.each(lambda job: self._settlement.unarchived(job, cause), jobs)
            return False
        with logs.together():
            for number, job in enumerate(jobs):
                job.raw_key = f"{key}#{number}"
                _received(job, raw_key=job.raw_key)
        return True

    def _claimed(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs that are this delivery's to do. Without a processor no claim is needed: nothing could run twice."""
        need = [job for job in jobs if job.processor is not None or job.invalid is not None]
        for job in need:
            job.wanted = Wanted.of(job.event, origin(job), until=self._deadline.ends, last=job.delivery.last)
        self._claim_together([job for job in need if job.delivery.receives == 1])
        self._runtime.each(self._claim, [job for job in need if job.claim is None and job.outcome is None])
        return [job for job in jobs if job.outcome is None]

    def _claim_together(self, jobs: Sequence[Job]) -> None:
        """Claim events that come for the first time, in one call; it takes those that have no record."""
        if len(jobs) < 2:
            return
        runtime = self._runtime
        try:
            with runtime.traced(jobs, "DynamoDB", "BatchExecuteStatement", table_name=runtime.settings.table):
                claims = runtime.store.claim_all([job.wanted for job in jobs if job.wanted is not None])
        except Exception as failure:
            for job in jobs:
                self._settlement.outage(job, "claim", failure)
            return
        for job, claim in zip(jobs, claims, strict=True):
            if claim is not None:
                self._take(job, claim)

    def _claim(self, job: Job) -> None:
        runtime = self._runtime
        assert job.wanted is not None  # noqa: S101 - made for every job that is claimed
        try:
            with runtime.traced([job], "DynamoDB", "UpdateItem", table_name=runtime.settings.table):
                taken = runtime.store.claim(job.wanted)
        except Exception as failure:
            self._settlement.outage(job, "claim", failure)
            return
        if isinstance(taken, Claim):
            self._take(job, taken)
        else:
            self._settlement.taken(job, taken)

    def _take(self, job: Job, claim: Claim) -> None:
        job.claim = claim
        job.event.attempt = claim.number
        if job.last and not job.delivery.last:
            self._condemn(job, claim)
        step(job, logs.debug, "claimed", "event claimed", attempt=claim.number)

    def _condemn(self, job: Job, claim: Claim) -> None:
        runtime = self._runtime
        try:
            with runtime.traced([job], "DynamoDB", "UpdateItem", table_name=runtime.settings.table):
                runtime.store.condemn(job.event, claim)
        except Exception as failure:  # the attempt itself may still succeed, and its end is written anyway
            step(job, logs.warning, "claim", f"AWS call failed: {failure}")

    def _run(self, jobs: Sequence[Job]) -> Iterator[list[Job]]:
        """Process, and give the jobs back in groups as they end."""
        ready = [job for job in jobs if job.processor is None or job.invalid is not None]
        for job in ready:
            job.error = job.invalid
        running_jobs = [job for job in jobs if job.processor is not None and job.invalid is None]
        job_of = self._started(running_jobs)
        for done in running.ended(list(job_of), self._deadline.remaining):
            group = [_collected(future, job_of.pop(future)) for future in done]
            yield [*ready, *group]
            ready = []
        for job in job_of.values():
            job.error = OutOfTimeError(f"no answer before the function's {self._deadline.total:g} s were nearly over")
        if rest := [*ready, *job_of.values()]:
            yield rest

    def _started(self, jobs: Sequence[Job]) -> dict[Future[Any], Job]:
        width = self._runtime.settings.batch_concurrency
        plain: list[Job] = []
        tasks: list[Job] = []
        for job in jobs:
            assert job.processor is not None  # noqa: S101 - those without one were set aside
            (tasks if job.processor.is_async else plain).append(job)
        futures = running.start_threads([_call(job) for job in plain], width)
        futures += running.start_tasks([_task(job) for job in tasks], width) if tasks else []
        return dict(zip(futures, [*plain, *tasks], strict=True))


def _raiser(error: Exception) -> Callable[[event.Event], Any]:
    def fail(_event: event.Event) -> Any:
        raise error

    return fail


def _received(job: Job, **fields: Any) -> None:
    delivery = job.delivery
    seen = {"source": delivery.source, "receives": delivery.receives, **logs.fingerprint(delivery.body), **fields}
    step(job, logs.info, "received", "event received and archived" if fields else "event received", **seen)


def _raw_line(job: Job, now: float) -> dict[str, Any]:
    delivery = job.delivery
    return {
        "id": job.event.id,
        "timestamp": job.event.timestamp,
        "source": delivery.source,
        "request_id": delivery.request_id,
        "received_at": int(now * 1000),
        "body": delivery.body,
    }


def _collected(future: Future[Any], job: Job) -> Job:
    if future.cancelled():
        job.error = OutOfTimeError("the processor was cancelled")
    elif (failure := future.exception()) is not None:
        job.error = failure
    else:
        job.result = future.result()
    return job


def _call(job: Job) -> Callable[[], Any]:
    def call() -> Any:
        with _within(job) as (function, given):
            return _answer(function(given))

    return call


def _task(job: Job) -> Callable[[], Coroutine[Any, Any, Any]]:
    async def task() -> Any:
        with _within(job) as (function, given):
            return _answer(await function(given))

    return task


@contextmanager
def _within(job: Job) -> Iterator[tuple[Callable[[event.Event], Any], event.Event]]:
    """Around a processor: its log lines say which event they are about, its AWS calls stand under its span."""
    assert job.processor is not None  # noqa: S101 - only such jobs are run
    logs.about(**subject(job))
    given = job.event if job.model is None else replace(job.event, data=job.model)
    with job.trace.span(f"processor {job.event.type}"):
        yield job.processor.function, given


def _answer(value: Any) -> Any:
    return None if value is None else jsontext.exact(value)
