"""How long events take: waiting for a free worker by Erlang's formula, and what a load beyond a limit does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.capacity.limits import Case, Limit


@dataclass(frozen=True, slots=True)
class Latency:
    """How long an event takes at the busiest time, its retries left out.

    accepted_ms: until the client has its answer. processed_ms: until the record has the result; null where that grows,
    or requests are refused. wait_ms: of this, until a worker is free; null likewise. refused: events per second that
    the API refuses by its rates. backlog: events per second by which the queue grows, if the API accepts all.
    scaled_s: until the event source has as many pollers as the rate needs, where it begins all at once.
    """

    accepted_ms: float
    processed_ms: float | None
    wait_ms: float | None
    refused: float
    backlog: float
    scaled_s: float


def latency(case: Case, limits: Sequence[Limit]) -> Latency:
    """The latency of a load whose limits are known."""
    load, flow, estimates = case.load, case.flow, case.facts.estimates
    gateway = 0.0 if load.via == "queue" else estimates.gateway_s
    refused = load.rate - min([load.rate, *_rates(limits, "refused")])
    if load.via == "process":
        answer = (gateway + flow.direct_s) * 1000
        return Latency(answer, None if refused else answer, 0.0, refused, 0.0, 0.0)
    taken = min([load.rate, *_rates(limits, "delayed")])
    servers = case.settings.worker_concurrency
    wait = waiting_s(load.rate * flow.invocations, servers, flow.invocation_s)
    start, growth = (case.facts.quotas[f"pollers-{name}"].value for name in ("start", "growth"))
    pollers = min(float(servers), load.rate * flow.busy_s)
    is_growing = taken < load.rate or wait is None
    processed = None if wait is None or is_growing else gateway + estimates.poll_s + wait + flow.invocation_s
    return Latency(
        accepted_ms=gateway * 1000,
        processed_ms=None if processed is None else processed * 1000,
        wait_ms=None if wait is None or is_growing else wait * 1000,
        refused=refused,
        backlog=load.rate - taken,
        scaled_s=max(0.0, pollers - start) / growth * 60,
    )


def waiting_s(rate: float, servers: int, service_s: float) -> float | None:
    """Mean wait for one of several servers (Erlang C); None where they are all busy for good."""
    offered = rate * service_s
    if offered >= servers:
        return None
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = offered * blocked / (n + offered * blocked)
    share = offered / servers
    delayed = blocked / (1 - share * (1 - blocked))
    return delayed * service_s / (servers * (1 - share))


def _rates(limits: Sequence[Limit], effect: str) -> list[float]:
    steady = [n for n in limits if n.kind == "steady" and n.setting != "daily_quota"]
    return [n.max_rate for n in steady if n.effect in (effect, "timeouts") and n.max_rate is not None]
