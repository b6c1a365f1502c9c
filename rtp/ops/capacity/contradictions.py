"""Settings that contradict each other: one allows a rate that another does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.ops.capacity.facts import facts

if TYPE_CHECKING:
    from rtp.config.settings import Settings

_MOST_KEYS = 10  # that the defaults need to reach the stage's throttle
_SHORTEST_S = 60  # for which a day's quota of a key should last at that key's full rate
_SMALL = 2  # write units of an event of 1 KB
_DAY_S = 86_400


def contradictions(settings: Settings) -> list[str]:
    """A sentence for each, with the names and values of the settings."""
    return [*_keys(settings), *_stage(settings), *_times(settings)]


def _keys(settings: Settings) -> list[str]:
    if settings.auth != "key":
        return []
    rate, key, quota = settings.throttle_rate, settings.key_rate, settings.daily_quota
    texts = []
    if key > rate:
        texts.append(f"key_rate = {key} is never reached: throttle_rate = {rate} is the limit of all keys together.")
    if settings.key_burst > settings.throttle_burst:
        burst = settings.throttle_burst
        texts.append(f"key_burst = {settings.key_burst} is never reached: throttle_burst = {burst} is for all keys.")
    last_s = quota / key
    lasting = f"daily_quota = {quota:,} is used up in {last_s:,.0f} s at that rate"
    if rate > _MOST_KEYS * key:
        keys = -(-rate // key)
        also = f", and a key's {lasting}" if last_s < _DAY_S / 24 else ""
        texts.append(f"throttle_rate = {rate} takes {keys} keys that each send at key_rate = {key}{also}.")
    elif last_s < _SHORTEST_S:
        texts.append(f"A key that sends at key_rate = {key} gets 429 for the rest of the day: its {lasting}.")
    return texts


def _stage(settings: Settings) -> list[str]:
    """Rates that the API accepts and the pipeline does not process, even with a processor that takes no time."""
    data = facts()
    rate = settings.throttle_rate
    workers = settings.worker_concurrency * settings.batch_size / data.estimates.invocation_s
    shards = settings.index_shards * data.quotas["dynamodb-partition"].value / (2 * _SMALL)
    texts = []
    if rate > workers:
        texts.append(
            f"throttle_rate = {rate} accepts more than worker_concurrency = {settings.worker_concurrency} with "
            f"batch_size = {settings.batch_size} processes, about {workers:,.0f} events a second: the queue grows."
        )
    if rate > shards:
        texts.append(
            f"throttle_rate = {rate} accepts more than index_shards = {settings.index_shards} takes, about "
            f"{shards:,.0f} events of 1 KB a second: DynamoDB throttles the rest."
        )
    return texts


def _times(settings: Settings) -> list[str]:
    texts = []
    if settings.alarm_duration_ms > settings.timeout_s * 1000:
        texts.append(
            f"alarm_duration_ms = {settings.alarm_duration_ms} is longer than timeout_s = {settings.timeout_s}: "
            "the alarm about slow functions never fires."
        )
    attempts = range(settings.max_receive_count - 1)
    waits = sum(min(settings.backoff_cap_s, settings.backoff_base_s * 2.0 ** min(n, 32)) for n in attempts)
    if waits > settings.queue_retention_days * _DAY_S:
        texts.append(
            f"max_receive_count = {settings.max_receive_count} attempts take up to {waits / _DAY_S:,.1f} days: events "
            f"expire before, after queue_retention_days = {settings.queue_retention_days}."
        )
    return texts
