"""Every limit of a load, in the order of an event's way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rtp.ops.capacity.limits import Limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.ops.capacity.limits import Case

_DAY_S = 86_400
_PRINCIPALS = 5  # requests of SQS to KMS in one time of reuse: two for each of two senders, one for the receiver
_API_TIMEOUT_S = 29


def limits(case: Case) -> list[Limit]:
    """Every limit that the load touches."""
    every = [*_intake(case), *_functions(case), *_queue(case), *_storage(case), *_telemetry(case)]
    return [limit for limit in every if limit.max_rate is not None or limit.effect == "timeouts"]


def _intake(case: Case) -> Iterator[Limit]:
    load, settings = case.load, case.settings
    if load.via == "queue":
        return
    if settings.auth == "key":
        key: dict[str, Any] = {"part": "API Gateway", "effect": "refused", "per_event": 1 / load.keys}
        yield case.by_setting("key_rate", unit="/s, each key", **key)
        day = {**key, "per_event": _DAY_S / load.keys}
        yield case.by_setting("daily_quota", unit="/day, each key", rate=load.average, **day)
    yield case.by_setting("throttle_rate", part="API Gateway", unit="requests/s", effect="refused", per_event=1)
    yield case.by_quota("api-rate", part="API Gateway", effect="refused", per_event=1)


def _functions(case: Case) -> Iterator[Limit]:
    flow, load, settings, quotas = case.flow, case.load, case.settings, case.quotas
    direct = flow.direct * flow.direct_s
    account = quotas.values["lambda-concurrency"]
    reserved = case.reserved or 0
    shared = max(0.0, account - reserved) if quotas.unreserved is None else float(quotas.unreserved)
    worker: dict[str, Any] = {"effect": "delayed" if load.via != "process" else "refused", "part": "Lambda"}
    if case.reserved is not None and flow.direct:
        limit = case.by_quota(
            "reserved-concurrency",
            part="Lambda",
            effect="refused",
            about="lambda-concurrency",
            quota=float(case.reserved),
            per_event=direct,
            advice="raise reserved_concurrency",
        )
        yield replace(limit, setting="reserved_concurrency", origin="setting")
        direct = 0.0
    yield case.by_quota(
        "lambda-concurrency",
        quota=shared,
        per_event=flow.busy_s + direct,
        advice="shorten the processor",
        **worker,
    )
    requests = quotas.values["lambda-requests"] * account
    yield case.by_quota(
        "lambda-requests",
        quota=requests,
        unit="invocations/s",
        per_event=flow.invocations + flow.direct,
        advice="have the account's concurrency raised",
        **worker,
    )
    if flow.direct:
        yield case.by_quota(
            "lambda-burst",
            kind="start",
            part="Lambda",
            effect="slow start",
            per_event=flow.direct * flow.direct_s,
            advice="let the load grow over some minutes",
        )
        yield _timeout(case, "api-timeout", flow.direct_s, min(settings.timeout_s, _API_TIMEOUT_S))


def _queue(case: Case) -> Iterator[Limit]:
    flow, settings = case.flow, case.settings
    if not flow.queued:
        return
    yield case.by_setting(
        "worker_concurrency",
        part="event source",
        unit="batches at once",
        effect="delayed",
        per_event=flow.busy_s,
        about="pollers-start",
    )
    yield case.by_quota(
        "pollers-start",
        kind="start",
        part="event source",
        effect="slow start",
        per_event=flow.busy_s,
        advice="the queue holds the events until the pollers have grown, by 300 batches at once each minute",
    )
    yield _timeout(case, "worker-timeout", flow.invocation_s, settings.timeout_s)
    yield case.by_quota(
        "sqs-in-flight",
        part="SQS",
        effect="delayed",
        per_event=flow.queued * flow.invocation_s + flow.hidden_s,
        advice="lower backoff_cap_s or max_receive_count",
    )


def _storage(case: Case) -> Iterator[Limit]:
    flow, facts = case.flow, case.facts
    late = "delayed" if case.load.via != "process" else "refused"
    table: dict[str, Any] = {"part": "DynamoDB", "effect": late}
    unit = facts.quotas["dynamodb-partition"]
    yield case.by_setting(
        "index_shards", unit=unit.unit, per_event=flow.hot, scale=unit.value, about="dynamodb-partition", **table
    )
    yield case.by_quota("dynamodb-table", per_event=flow.table, **table)
    yield case.by_quota("dynamodb-index", about="dynamodb-table", per_event=flow.index, **table)
    yield case.by_quota(
        "dynamodb-new-table",
        kind="start",
        part="DynamoDB",
        effect="slow start",
        per_event=flow.index,
        advice="let the load grow: within half an hour at most to twice its peak before",
    )
    yield case.by_quota(
        "s3-prefix",
        part="S3",
        effect=late,
        per_event=flow.puts,
        advice="raise batch_size; S3 splits a busy prefix by itself, within an hour",
    )
    reuse = facts.estimates.key_reuse_s
    contexts = 2 * (flow.busy_s + flow.direct * flow.direct_s) / reuse
    with_reuse = facts.estimates.bucket_key_share * flow.objects + contexts
    yield case.by_quota("kms-requests", part="KMS", effect=late, fixed=_PRINCIPALS / reuse, per_event=with_reuse)
    sent = (0.0 if flow.direct else 1.0) + flow.queued + flow.objects
    yield case.by_quota(
        "kms-without-reuse", about="kms-requests", kind="comparison", part="KMS", effect=late, per_event=sent
    )


def _telemetry(case: Case) -> Iterator[Limit]:
    flow = case.flow
    yield case.by_quota(
        "xray-segments",
        kind="estimate",
        part="X-Ray",
        effect="lost traces",
        per_event=flow.segments,
        advice="lower trace_percent",
    )
    yield case.by_quota(
        "log-requests",
        kind="estimate",
        part="CloudWatch Logs",
        effect="late logs",
        per_event=flow.invocations + flow.direct,
        advice="raise batch_size",
    )


def _timeout(case: Case, name: str, needed: float, quota: float) -> Limit:
    """The timeout of a function, which no rate fits where the processor takes longer."""
    exceeded = needed > quota
    return Limit(
        name=name,
        part="Lambda",
        quota=quota,
        unit="s",
        needed=needed,
        max_rate=0.0 if exceeded else None,
        exceeded=exceeded,
        kind="steady",
        effect="timeouts",
        setting="timeout_s",
        change="raise timeout_s, shorten the processor, or send by POST /events" if exceeded else "",
        origin="setting",
        source=case.facts.quotas["lambda-concurrency"].source,
    )
