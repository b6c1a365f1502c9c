"""The capacity of a pipeline for a load: limits, what gives first, settings to change, latency, cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.ops.capacity import check
from rtp.ops.capacity.contradictions import contradictions
from rtp.ops.capacity.cost import Cost, monthly
from rtp.ops.capacity.facts import facts
from rtp.ops.capacity.flow import filled, flow
from rtp.ops.capacity.latency import Latency, latency
from rtp.ops.capacity.limits import Case, Limit, Quotas
from rtp.ops.capacity.load import Load  # noqa: TC001 (docs/shapes.py reads the type)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.config.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a pipeline does with a load.

    load: the events. fits: whether no steady limit is exceeded. max_rate: events per second at which the first limit
    is reached. first: name of that limit. limits: all, in the order of an event's way. settings: those to change for
    this load, with their values. latency: at the busiest time. costs: a month, by part of AWS. total: their sum in US
    dollars. batch: events of one batch of the worker at the average rate. contradictions: settings that contradict
    each other. notes: what was measured or read, and what could not be. prices: region and day of the prices.
    """

    env: str
    load: Load
    fits: bool
    max_rate: float
    first: str
    limits: list[Limit]
    settings: dict[str, int]
    latency: Latency
    costs: list[Cost]
    total: float
    batch: float
    contradictions: list[str]
    notes: list[str] = field(default_factory=list)
    prices: str = ""


def capacity(
    env: str,
    settings: Settings,
    load: Load,
    *,
    quotas: Quotas | None = None,
    reserved: int | None = None,
    notes: Sequence[str] = (),
) -> Capacity:
    """Compute the capacity for a load. quotas: of the account; AWS's defaults without them."""
    data = facts()
    case = Case(
        settings=settings,
        load=load,
        flow=flow(settings, load, data),
        facts=data,
        quotas=quotas or Quotas.defaults(data),
        reserved=reserved,
    )
    limits = check.limits(case)
    first = min((n for n in limits if n.kind == "steady" and n.max_rate is not None), key=lambda n: n.max_rate or 0.0)
    batch = filled(settings, load, data)
    costs = monthly(settings, load, flow(settings, load, data, batch=batch), data)
    return Capacity(
        env=env,
        load=load,
        fits=not any(n.exceeded for n in limits if n.kind == "steady"),
        max_rate=first.max_rate or 0.0,
        first=first.name,
        limits=limits,
        settings={n.setting: n.value for n in limits if n.value is not None},
        latency=latency(case, limits),
        costs=costs,
        total=sum(cost.dollars for cost in costs),
        batch=batch,
        contradictions=contradictions(settings),
        notes=list(notes),
        prices=f"{data.region}, {data.read.isoformat()}",
    )
