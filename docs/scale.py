"""docs/scale.md: limits, cost and settings at four rates, computed as `rtp capacity` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rtp.config.settings import Settings
from rtp.ops.capacity.cost import MONTH_S
from rtp.ops.capacity.facts import facts
from rtp.ops.capacity.limits import most
from rtp.ops.capacity.load import Load, Via
from rtp.ops.capacity.report import capacity

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rtp.ops.capacity.limits import Limit
    from rtp.ops.capacity.report import Capacity

RATES = (100, 1_000, 10_000, 100_000)
SIZE, DURATION_MS, FAILING = 2048, 120.0, 0.01
_MARKS = {"steady": "", "start": " (start)", "estimate": " (estimate)", "comparison": " (comparison)"}
_OF_PROCESS = ("lambda-concurrency", "lambda-requests", "lambda-burst", "api-timeout", "s3-prefix", "log-requests")
_LARGEST = ("throttle_rate", "key_rate", "daily_quota", "worker_concurrency", "index_shards")
_WAYS: dict[Via, str] = {
    "events": "`POST /events`",
    "process": "`POST /process`",
    "queue": "directly into the queue",
}

_INTRODUCTION = """\
# Scale

What limits a pipeline at {rates} events a second, and what it costs. Written by `make docs` from
the functions behind `rtp capacity`, which computes the same for your settings, rate, size and duration. Nothing here
was measured on an account ([verified.md](verified.md)).

- The load: events of {size} KB, {duration:.0f} ms of processor time each, {failing:.0f} % of the attempts fail, by
  `POST /events` with one API key.
- Quotas are AWS's defaults for {region}, prices its list prices there without free tiers, both compared on {read}, in
  part with pages that quote AWS's; `rtp/ops/capacity/aws.toml` has each with its source. Other regions have lower
  quotas for KMS and API Gateway, and other prices.
- A processor waits more than it computes: `batch_concurrency` events of a batch take as long as one.

## Which limit is first

Latency and cost are those with the settings of the third column. Limits beyond these are moved by AWS, by more keys or
by several pipelines; `rtp capacity` says which, and there is no latency. `daily_quota` is a key's for a whole day: of
the defaults it is always first for a load that lasts.

"""
_EACH = """
## Each limit

With the default settings; the quota links to AWS's page about it. `start` is the limit of a load that begins all at
once, until AWS has scaled; `estimate` is one of which AWS does not document how it counts; `comparison` is what it
would be without the data-key reuse and the bucket key, which the stack has.

"""
_COST = """
## Cost a month

US dollars, with the settings of the first table. Storage is that of one month's events, and is paid again in each
later month for as long as they stay.

"""
_HIGHEST = """
## How high the settings go

One pipeline with {settings}, for this load and AWS's default quotas:

"""
_AFTERWARDS = """
## What the numbers mean

- **DynamoDB's index is the first limit behind the API.** Each claim writes below `processing#SHARD`, and its end
  deletes there: two writes of the whole record for each attempt, on partitions of 1,000 write units a second. Smaller
  events and more `index_shards` move it.
- **A load that begins all at once** meets pollers that begin with five batches and grow by 300 a minute, a table that
  takes 4,000 write units when it is new and twice its peak later, and 1,000 new environments in ten seconds for
  `POST /process`. The queue holds what has to wait.
- **KMS** is asked once in five minutes for each sender and receiver of the queue, and for about 1 % of the objects.
- **CloudWatch** takes metrics out of log lines. Beyond the limits of its log requests and of X-Ray's segments lines are
  late and traces are lost; events are not.
- **Several pipelines** are the answer where a setting is at its most: each has its own event source, table and stage.
  They share the account's rate of API Gateway and Lambda's concurrency.
- Network transfer, your processor's own calls, WAF, VPC and support are not in the cost.
"""


def page() -> str:
    """The whole page."""
    data = facts()
    introduction = _INTRODUCTION.format(
        rates=", ".join(f"{rate:,}" for rate in RATES[:-1]) + f" and {RATES[-1]:,}",
        size=SIZE // 1024,
        duration=DURATION_MS,
        failing=FAILING * 100,
        region=data.region,
        read=data.read.isoformat(),
    )
    settings = ", ".join(f"`{name} = {most(name)}`" for name in _LARGEST)
    sources = sorted({price.source for price in data.prices.values()})
    return "".join(
        [
            introduction,
            _table(
                (
                    "events/s",
                    "first limit of the default settings",
                    "settings for this rate",
                    "limits beyond these",
                    "latency",
                ),
                ("US dollars a month",),
                [_summary(rate) for rate in RATES],
            ),
            _EACH,
            _limits("events"),
            "\n`POST /process` has these instead of those of the queue:\n\n",
            _limits("process", only=_OF_PROCESS),
            _COST,
            _costs(),
            _HIGHEST.format(settings=settings),
            _table(("way", "first limit"), ("most events/s",), _ways()),
            _AFTERWARDS,
            "\nPrices are from " + ", ".join(f"[{n}]({source})" for n, source in enumerate(sources, 1)) + ".\n",
        ]
    )


def load(rate: float, via: Via = "events") -> Load:
    """The page's load."""
    return Load(rate=rate, average=rate, size_bytes=SIZE, duration_ms=DURATION_MS, failing=FAILING, via=via)


def fitted(rate: float) -> Capacity:
    """The capacity with the settings that a rate needs."""
    needed = capacity("", Settings(), load(rate)).settings
    return capacity("", msgspec.structs.replace(Settings(), **needed), load(rate))


def _table(texts: Sequence[str], numbers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[*texts, *numbers], ["---"] * len(texts) + ["---:"] * len(numbers), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _summary(rate: float) -> list[str]:
    before, after = capacity("", Settings(), load(rate)), fitted(rate)
    settings = ", ".join(f"`{name} = {value}`" for name, value in before.settings.items()) or "the defaults"
    left = [f"`{n.name}`" for n in after.limits if n.exceeded and n.kind == "steady"]
    latency = "" if after.latency.processed_ms is None else f"{after.latency.processed_ms:,.0f} ms"
    first = f"`{before.first}`, at {before.max_rate:,.3g} events/s"
    return [f"{rate:,}", first, settings, ", ".join(left) or "none", latency, f"{after.total:,.0f}"]


def _limits(via: Via, only: Collection[str] = ()) -> str:
    columns = [capacity("", Settings(), load(rate, via)).limits for rate in RATES]
    rows = [_row(at) for at in zip(*columns, strict=True) if not only or at[0].name in only]
    numbers = ("reached at events/s", *(f"used at {rate:,}/s" for rate in RATES))
    return _table(("limit", "part", "quota", "setting", "beyond it"), numbers, rows)


def _row(at: Sequence[Limit]) -> list[str]:
    limit = at[0]
    quota = f"{limit.quota:,.0f} {limit.unit}"
    return [
        f"`{limit.name}`{_MARKS[limit.kind]}",
        limit.part,
        f"[{quota}]({limit.source})" if limit.source else quota,
        f"`{limit.setting}`" if limit.setting else "",
        limit.effect,
        "any"
        if limit.max_rate is None
        else f"{limit.max_rate:,.3g}"
        if limit.max_rate < 100
        else f"{limit.max_rate:,.0f}",
        *(_share(each) for each in at),
    ]


def _share(limit: Limit) -> str:
    used = limit.needed / limit.quota
    text = "<1 %" if used < 0.01 else f"{used * 100:,.0f} %"
    return f"**{text}**" if limit.exceeded else text


def _costs() -> str:
    columns = [fitted(rate) for rate in RATES]
    rows = [
        [costs[0].part, *(f"{cost.dollars:,.0f}" for cost in costs)]
        for costs in zip(*(column.costs for column in columns), strict=True)
    ]
    rows.append(["**total**", *(f"**{column.total:,.0f}**" for column in columns)])
    each = [f"{c.total / (c.load.average * MONTH_S / 1e6):,.2f}" for c in columns]
    return _table(("part",), [f"{rate:,}/s" for rate in RATES], [*rows, ["for a million events", *each]])


def _ways() -> list[list[str]]:
    largest = msgspec.structs.replace(Settings(), **{name: most(name) for name in _LARGEST})
    results = {way: capacity("", largest, load(1.0, way)) for way in _WAYS}
    return [[_WAYS[way], f"`{result.first}`", f"{result.max_rate:,.0f}"] for way, result in results.items()]
