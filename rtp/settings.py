"""Every setting of an environment: its type, default and range. rtp.toml, infra and docs all read this one table."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

ARCHITECTURES = ("arm64", "x86_64")
ROLLOUTS = ("all-at-once", "canary-10-5m", "linear-10-1m")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LOG_RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)


def _setting(
    default: Any, about: str, *, low: float | None = None, high: float | None = None, among: tuple[Any, ...] = ()
) -> Any:
    return field(default=default, metadata={"about": about, "low": low, "high": high, "among": among})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `[defaults]` and `[env.*]` may set about the pipeline itself."""

    memory_mb: int = _setting(512, "memory of each function, MB", low=128, high=10240)
    timeout_s: int = _setting(
        30, "timeout of the worker, s; the processor gets at most 29, the API's own limit", low=1, high=900
    )
    architecture: str = _setting("arm64", "instruction set of the functions", among=ARCHITECTURES)
    snap_start: bool = _setting(False, "Lambda SnapStart on published versions")
    reserved_concurrency: int | None = _setting(
        None, "of the processor; unset: 100 where protected and where the account's limit allows it", low=0, high=10000
    )
    log_level: str = _setting("INFO", "least level the functions log", among=LOG_LEVELS)
    log_retention_days: int = _setting(30, "days CloudWatch keeps the log groups", among=LOG_RETENTION_DAYS)

    throttle_rate: int = _setting(1000, "stage throttle, requests per second", low=1, high=10000)
    throttle_burst: int = _setting(2000, "stage throttle, burst", low=1, high=10000)
    key_rate: int = _setting(100, "per API key, requests per second", low=1, high=10000)
    key_burst: int = _setting(200, "per API key, burst", low=1, high=10000)
    daily_quota: int = _setting(10_000, "per API key, requests a day", low=1, high=1_000_000_000)

    batch_size: int = _setting(10, "messages the worker gets at once", low=1, high=10)
    batch_concurrency: int = _setting(10, "events of one batch processed side by side", low=1, high=100)
    worker_concurrency: int = _setting(
        10, "most workers at once (the event source's maximum concurrency)", low=2, high=1000
    )
    max_receive_count: int = _setting(5, "attempts before SQS moves a message to the DLQ", low=2, high=1000)
    backoff_base_s: int = _setting(1, "delay before the second attempt, s; doubles with each", low=0, high=900)
    backoff_cap_s: int = _setting(300, "longest delay between attempts, s", low=1, high=43200)
    queue_retention_days: int = _setting(4, "days the queue keeps a message; less than the DLQ", low=1, high=14)
    dlq_retention_days: int = _setting(14, "days the DLQ keeps a message", low=1, high=14)

    index_shards: int = _setting(
        4, "partitions of the status index, each good for about 1,000 writes a second", low=1, high=100
    )
    raw_expiry_days: int = _setting(7, "days until raw events expire", low=1, high=3650)
    processed_ia_days: int = _setting(30, "days until results move to infrequent access", low=30, high=3650)

    alarm_emails: tuple[str, ...] = _setting((), "addresses told of alarms")
    alarm_errors: int = _setting(5, "function errors in 5 minutes", low=1, high=1_000_000)
    alarm_duration_ms: int = _setting(20_000, "average duration, ms, twice in a row", low=1, high=900_000)
    alarm_throttles: int = _setting(1, "function throttles in 5 minutes", low=1, high=1_000_000)
    alarm_dlq_messages: int = _setting(1, "messages in the DLQ", low=1, high=1_000_000)
    alarm_api_4xx: int = _setting(10, "client errors in 5 minutes", low=1, high=1_000_000)
    alarm_api_5xx: int = _setting(1, "server errors in 5 minutes", low=1, high=1_000_000)
    alarm_queue_age_s: int = _setting(300, "age of the oldest message, s", low=1, high=1_209_600)
    alarm_worker_failures: int = _setting(5, "failed attempts in 5 minutes", low=1, high=1_000_000)

    rollout: str = _setting("all-at-once", "how a new version takes the traffic", among=ROLLOUTS)


_FIELDS = {f.name: f for f in fields(Settings)}
NAMES = frozenset(_FIELDS)


def about(name: str) -> str:
    """One line on a setting: what it is, what is allowed, its default."""
    setting = _FIELDS[name]
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return f"{name}: {setting.metadata['about']}; {allowed(name)}; default {default!r}."


def problem(name: str, value: object) -> str | None:
    """What is wrong with a value read from TOML, or None."""
    setting = _FIELDS[name]
    kind = str(setting.type)
    if kind.startswith("tuple"):
        fine = isinstance(value, list) and all(isinstance(v, str) and "@" in v for v in value)
    elif kind == "bool":
        fine = isinstance(value, bool)
    elif kind == "str":
        fine = isinstance(value, str)
    else:
        fine = isinstance(value, int) and not isinstance(value, bool)
    if not fine:
        return f"must be {allowed(name)}"
    among, low, high = (setting.metadata[k] for k in ("among", "low", "high"))
    if among and value not in among:
        return f"must be {allowed(name)}"
    if isinstance(value, int) and low is not None and not low <= value <= high:
        return f"must be {allowed(name)}"
    return None


def allowed(name: str) -> str:
    """What a setting takes, in words."""
    setting = _FIELDS[name]
    kind = str(setting.type)
    if setting.metadata["among"]:
        return "one of " + ", ".join(str(v) for v in setting.metadata["among"])
    if kind.startswith("tuple"):
        return "a list of e-mail addresses"
    if kind == "bool":
        return "true or false"
    return f"a whole number from {setting.metadata['low']:,} to {setting.metadata['high']:,}"
