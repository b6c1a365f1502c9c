"""What one event causes on its way through the pipeline: attempts, invocations, writes, requests, traces."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.config.settings import Settings
    from rtp.ops.capacity.facts import Facts
    from rtp.ops.capacity.load import Load

_UNIT = 1024  # bytes of a write unit
_MAX_INLINE = 180_000  # bytes of data in a record; larger data is an object of its own (rtp/runtime/items.py)
_SEGMENTS_OF_INVOCATION = 2  # Lambda's own and the function's


@dataclass(frozen=True, slots=True)
class Flow:
    """What an event causes, on average and with full batches.

    direct: runs of the API function. queued: attempts of the worker. batch: events of one of its invocations.
    invocation_s: how long such an invocation takes. direct_s: a run of the API function. units: write units of one
    write of its record. table, index: write units. hot: of these, on the index's partitions of `processing`, which
    have the most. puts: objects below the prefix that has more. objects: below both. hidden_s: how long it is hidden
    in the queue between attempts. traces, segments: of X-Ray. log_bytes: of log lines.
    """

    direct: float
    queued: float
    batch: float
    invocation_s: float
    direct_s: float
    units: int
    table: float
    index: float
    hot: float
    puts: float
    objects: float
    hidden_s: float
    traces: float
    segments: float
    log_bytes: float

    @property
    def invocations(self) -> float:
        """Invocations of the worker."""
        return self.queued / self.batch

    @property
    def busy_s(self) -> float:
        """Seconds of the worker's concurrency."""
        return self.invocations * self.invocation_s


def flow(settings: Settings, load: Load, facts: Facts, *, batch: float | None = None) -> Flow:
    """What an event of this load causes. batch: events of one invocation; as many as the setting allows without it."""
    estimates = facts.estimates
    batch = float(settings.batch_size) if batch is None else batch
    attempts = mean_attempts(load.failing, settings.max_receive_count)
    direct = 1.0 if load.via == "process" else 0.0
    queued = attempts - direct
    inline = load.size_bytes <= _MAX_INLINE
    units = math.ceil((estimates.item_bytes + (load.size_bytes if inline else 0)) / _UNIT)
    invocations = queued / batch
    traced = _traced(settings, facts)
    api_traces = traced if load.via != "queue" else 0.0
    worker_traces = estimates.sampled * invocations if settings.trace_percent != 0 else 0.0
    return Flow(
        direct=direct,
        queued=queued,
        batch=batch,
        invocation_s=batch_s(settings, load, facts, batch),
        direct_s=estimates.invocation_s + load.duration_ms / 1000,
        units=units,
        # A claim and its end are a write of the record each. In the index the first claim is one write, and each later
        # change of the status two: DynamoDB deletes the entry and puts it below the new status.
        table=2 * attempts * units,
        index=(4 * attempts - 1) * units,
        hot=2 * attempts * units,
        puts=direct + invocations + (0.0 if inline else attempts),
        objects=2 * (direct + invocations) + (0.0 if inline else attempts),
        hidden_s=hidden_s(settings, load.failing),
        traces=api_traces + worker_traces,
        segments=api_traces * (1 + direct * _SEGMENTS_OF_INVOCATION) + worker_traces * _SEGMENTS_OF_INVOCATION,
        log_bytes=estimates.log_bytes_event * attempts + estimates.log_bytes_invocation * (direct + invocations),
    )


def batch_s(settings: Settings, load: Load, facts: Facts, batch: float) -> float:
    """How long the worker takes for a batch of this many events."""
    rounds = math.ceil(batch / settings.batch_concurrency)
    return facts.estimates.invocation_s + rounds * load.duration_ms / 1000


def mean_attempts(failing: float, most: int) -> float:
    """Attempts of an event of which each fails with this probability, at most `most`."""
    return float(most) if failing == 1 else (1 - failing**most) / (1 - failing)


def hidden_s(settings: Settings, failing: float) -> float:
    """How long an event is hidden between its attempts: three quarters of the backoff, whose upper half is random."""
    total, chance = 0.0, failing
    for attempt in range(1, settings.max_receive_count):
        if chance < 1e-12:
            break
        total += chance * 0.75 * min(settings.backoff_cap_s, settings.backoff_base_s * 2.0 ** min(attempt - 1, 32))
        chance *= failing
    return total


def filled(settings: Settings, load: Load, facts: Facts) -> float:
    """Events of one batch at the load's average: SQS delivers what has arrived while the pollers were busy."""
    arriving = load.average * (mean_attempts(load.failing, settings.max_receive_count) - (load.via == "process"))
    pollers = facts.quotas["pollers-start"].value
    at_once = arriving * batch_s(settings, load, facts, float(settings.batch_size)) / pollers
    return max(1.0, min(float(settings.batch_size), at_once))


def _traced(settings: Settings, facts: Facts) -> float:
    """Share of the API's requests that X-Ray traces."""
    return facts.estimates.sampled if settings.trace_percent is None else settings.trace_percent / 100
