"""Cost of a million events, by entry and batch size, for rtp and the naive worker. Prints the table of docs/cost.md."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rtp.ops.capacity.facts import unit_price

# US dollars, of the first tiers: rtp/ops/capacity/aws.toml has their day and sources.
API_REQUEST = unit_price("api-request")
SQS_REQUEST = unit_price("sqs-request")
LAMBDA_REQUEST = unit_price("lambda-request")
LAMBDA_GB_S = unit_price("lambda-arm64")
WRITE_UNIT = unit_price("dynamodb-write")
S3_PUT = unit_price("s3-put")
LOG_GB = unit_price("logs")
TRACE = unit_price("trace")

MEMORY_GB = 0.5
SAMPLED = 0.05  # of the requests, by X-Ray's default rule, and of the worker's invocations, by Lambda
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """The size of an event, what it causes, and how many of them an invocation gets."""

    name: str
    api: bool  # through API Gateway, else directly into the queue
    queued: bool
    batch: int
    seconds: float  # duration of an invocation
    item_kb: float
    writes: int  # of the item: to the table, and to the index, where a change of status counts twice
    puts: float  # to S3, per event
    log_kb: float  # per event

    @property
    def traces(self) -> float:
        """The traces that are recorded per event: of requests, and of invocations for batches."""
        return SAMPLED * ((1 if self.api else 0) + (1 / self.batch if self.queued else 0))

    def cost(self) -> dict[str, float]:
        """Return the dollars per million events, by service."""
        invocations = MILLION / self.batch
        requests = MILLION * (1 + 2 / self.batch) if self.queued else 0  # send; receive and delete are per batch
        return {
            "API Gateway": MILLION * API_REQUEST if self.api else 0,
            "SQS": requests * SQS_REQUEST,
            "Lambda": invocations * (LAMBDA_REQUEST + self.seconds * MEMORY_GB * LAMBDA_GB_S),
            "DynamoDB": MILLION * self.writes * math.ceil(self.item_kb) * WRITE_UNIT,
            "S3": MILLION * self.puts * S3_PUT,
            "logs, traces": MILLION * (self.log_kb / 1e6 * LOG_GB + self.traces * TRACE),
        }


# A payload of 1 KB makes an item of 2 KB. A claimed event is written twice and its index entry three times (put, delete
# and put when the status changes); one that is stored as is, once each. An invocation waits for S3 twice and for
# DynamoDB twice, about 80 ms, for any batch size.
LOADS = [
    Load("naive, API", True, False, 1, 0.060, 2, 2, 1, 0.5),
    Load("naive, queue, batch 10", True, True, 10, 0.450, 2, 2, 1, 0.5),
    *(
        Load(f"rtp, /events, batch {n}", True, True, n, 0.075 + n * 0.001, 2, 5, 2 / n, 1.0 + 0.5 / n)
        for n in (1, 2, 5, 10)
    ),
    *(
        Load(f"rtp, /events, batch {n}, no processor", True, True, n, 0.060 + n * 0.001, 2, 2, 2 / n, 1.0 + 0.5 / n)
        for n in (1, 10)
    ),
    Load("rtp, /process", True, False, 1, 0.090, 2, 5, 2, 1.5),
    Load("rtp, queue, batch 10", False, True, 10, 0.085, 2, 5, 0.2, 1.05),
]


def main() -> list[str]:
    """Print the table as Markdown and return its lines."""
    services = list(LOADS[0].cost())
    lines = [f"| | {' | '.join(services)} | **total** |", "| --- |" + " ---: |" * (len(services) + 1)]
    for load in LOADS:
        cost = load.cost()
        lines.append(
            f"| {load.name} | {' | '.join(f'{cost[s]:.2f}' for s in services)} | **{sum(cost.values()):.2f}** |"
        )
    print("\n".join(lines))
    return lines


if __name__ == "__main__":
    main()
