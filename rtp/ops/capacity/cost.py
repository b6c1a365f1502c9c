"""What a load costs a month, by part of AWS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.contract import Alarm

if TYPE_CHECKING:
    from rtp.config.settings import Settings
    from rtp.ops.capacity.facts import Facts
    from rtp.ops.capacity.flow import Flow
    from rtp.ops.capacity.load import Load

MONTH_S = 730 * 3600
_DAY_S = 86_400
_GB = 1e9
_CHUNK = 64 * 1024  # bytes of a message that SQS bills as one request
_ALARMS_OF_A_ROLLOUT = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """What one part costs.

    part: the part of AWS. dollars: US dollars a month. units: what is paid for, and how much of it.
    """

    part: str
    dollars: float
    units: str


def monthly(settings: Settings, load: Load, flow: Flow, facts: Facts, *, events: float | None = None) -> list[Cost]:
    """The cost of one month. events: in that month; without it as many as the load's average gives.

    Data that stays is counted for one month, and costs as much again in each later one.
    """
    events = load.average * MONTH_S if events is None else events

    def dollars(name: str, units: float) -> float:
        return facts.prices[name].of(units)

    requests = 0.0 if load.via == "queue" else events
    messages = events * sqs_requests(load, flow)
    invocations = events * (flow.invocations + flow.direct)
    memory = settings.memory_mb / 1024
    gb_s = events * (flow.busy_s + flow.direct * flow.direct_s) * memory
    writes = events * (flow.table + flow.index)
    stored = events * flow.units * 1024 / _GB
    puts = events * flow.objects
    archived = events * load.size_bytes / _GB * (1 + min(1.0, settings.raw_expiry_days * _DAY_S / MONTH_S))
    kms = MONTH_S * 5 / facts.estimates.key_reuse_s + puts * facts.estimates.bucket_key_share
    logs = events * flow.log_bytes / _GB
    traces = events * flow.traces
    alarms = (
        len(Alarm) - (not settings.is_notified) + (0 if settings.rollout == "all-at-once" else _ALARMS_OF_A_ROLLOUT)
    )
    return [
        Cost("API Gateway", dollars("api-request", requests), f"{_short(requests)} requests"),
        Cost("SQS", dollars("sqs-request", messages), f"{_short(messages)} requests"),
        Cost(
            "Lambda",
            dollars("lambda-request", invocations) + dollars(f"lambda-{settings.architecture}", gb_s),
            f"{_short(invocations)} invocations, {_short(gb_s)} GB-s",
        ),
        Cost("DynamoDB", dollars("dynamodb-write", writes), f"{_short(writes)} write units"),
        Cost("S3", dollars("s3-put", puts), f"{_short(puts)} objects"),
        Cost(
            "storage",
            2 * dollars("dynamodb-storage", stored)
            + dollars("dynamodb-recovery", stored)
            + dollars("s3-storage", archived),
            f"{_short(2 * stored)} GB of records and index, {_short(archived)} GB of archive",
        ),
        Cost("KMS", dollars("kms-key", 1) + dollars("kms-request", kms), f"1 key, {_short(kms)} requests"),
        Cost("CloudWatch Logs", dollars("logs", logs), f"{_short(logs)} GB"),
        Cost("X-Ray", dollars("trace", traces), f"{_short(traces)} traces"),
        Cost("CloudWatch", dollars("alarm", alarms) + dollars("dashboard", 1), f"{alarms} alarms, 1 dashboard"),
    ]


def sqs_requests(load: Load, flow: Flow) -> float:
    """Billed requests of SQS for an event: its send, its share of receives and deletes, and its retries."""
    sends = 1.0 if load.via != "process" else load.failing
    received = math.ceil(flow.batch * load.size_bytes / _CHUNK) if flow.queued else 0
    return sends * math.ceil(load.size_bytes / _CHUNK) + flow.invocations * (received + 1) + flow.queued * load.failing


def _short(number: float) -> str:
    for size, suffix in ((1e12, " T"), (1e9, " billion"), (1e6, " million")):
        if number >= size:
            return f"{number / size:,.1f}{suffix}"
    return f"{number:,.0f}" if number >= 10 or number == 0 else f"{number:.2g}"
