"""Parse and format times: epoch milliseconds inside, local time on the terminal."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from rtp.errors import UsageError

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)
_LAST = re.compile(r"(?<=[hm])\d{1,2}$", re.ASCII)  # a last number without its unit, as in 3h20
_CLOCK = re.compile(r"(today|yesterday)?\s*(?:(\d{1,2}):(\d{2})(?::(\d{2}))?)?", re.ASCII)
_WORDS = re.compile(r"(?<=[a-z])(?:illiseconds?|ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?|ays?|eeks?)\b")

_LENGTH = 100
_MOST_MS = 3_155_760_000_000
DEFAULT_WINDOW = "10m"


def now_ms() -> int:
    """Return the current time in epoch ms."""
    return time.time_ns() // 1_000_000


def parse_duration(text: str) -> int:
    """Parse `5m`, `1h30m`, `3h20`, `90s` or `2 days` to milliseconds. Raises UsageError."""
    if len(text) > _LENGTH:
        raise UsageError(f"A time of {len(text):,} characters is no time.", hint="Examples: 30s, 5m, 1h30m, 2d.")
    compact = _WORDS.sub("", text.strip().lower()).replace(" ", "")
    if last := _LAST.search(compact):
        compact += "m" if compact[last.start() - 1] == "h" else "s"
    parts = _PART.findall(compact)
    if not parts or "".join(n + u for n, u in parts) != compact:
        raise UsageError(f"{text!r} is not a duration", hint="Examples: 30s, 5m, 1h30m, 2d.")
    total = sum(float(n) * _UNITS[u] for n, u in parts)
    if total > _MOST_MS:
        raise UsageError(f"{text!r} is longer than a hundred years", hint="Examples: 30s, 5m, 1h30m, 2d.")
    return round(total)


def parse_when(text: str, *, now: int | None = None, option: str = "") -> int:
    """Parse a time to epoch ms. Raises UsageError, which names the option that has the time.

    An age such as `5m` or `10m ago`; a time of the day such as `23:40`, the last one before `now`; `today` and
    `yesterday`, which begin at midnight, also with a time of the day; ISO 8601, local without an offset; epoch s or ms.
    """
    where = f"{option}: " if option else ""
    if len(text) > _LENGTH:
        what = f"{where}a time of {len(text):,} characters is no time."
        raise UsageError(what[0].upper() + what[1:], hint="Examples: 5m, 1h30m, '10m ago'.")
    now = now_ms() if now is None else now
    stripped = text.strip()
    if stripped.lower() == "now":
        return now
    if re.fullmatch(r"\d{9,10}(\.\d+)?", stripped, re.ASCII):
        return round(float(stripped) * 1000)
    if re.fullmatch(r"\d{12,13}", stripped, re.ASCII):
        return int(stripped)
    if (moment := _time_of_day(stripped.lower(), now)) is not None:
        return moment
    try:
        return max(0, round(datetime.fromisoformat(stripped).astimezone().timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return max(0, now - parse_duration(re.sub(r"\s*ago$", "", stripped, flags=re.IGNORECASE)))
    except UsageError:
        raise UsageError(
            f"{where}{text!r} is not a time.",
            hint="Examples: 5m, 1h30m, '10m ago', 23:40, yesterday, 2026-01-31T12:00:00Z, or an epoch time.",
        ) from None


def _time_of_day(text: str, now: int) -> int | None:
    """Parse `23:40`, `today`, `yesterday` and `yesterday 23:40` in local time to epoch ms; None for other text."""
    match = _CLOCK.fullmatch(text)
    if match is None or not match[0]:
        return None
    day, hour, minute, second = match.groups(default="")
    moment = datetime.fromtimestamp(now / 1000)
    try:
        moment = moment.replace(hour=int(hour or 0), minute=int(minute or 0), second=int(second or 0), microsecond=0)
    except ValueError:
        return None
    if day == "yesterday" or (not day and ms(moment.astimezone()) > now):
        moment -= timedelta(days=1)
    return ms(moment.astimezone())


def backwards(since: int, until: int) -> UsageError:
    """Return the error of a window, in epoch ms, that ends before it begins."""
    if since > now_ms():
        return UsageError(f"--since: {stamp(since)} is in the future.", hint="Give an earlier time.")
    return UsageError(
        f"The window would begin at {stamp(since)} and end earlier, at {stamp(until)}.",
        hint="Give --since an earlier time than --until.",
    )


def ms(moment: datetime) -> int:
    """Convert a datetime to epoch ms."""
    return round(moment.timestamp() * 1000)


def iso(ms: int | float) -> str:
    """Format epoch ms as `2026-01-31T12:00:00.123Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(ms: int | float, *, now: int | None = None) -> str:
    """Format epoch ms as `12:00:00.123` in local time, and as `01-31 12:00:00.123` where that is not today."""
    minute, rest = divmod(int(ms), 60_000)
    today = _day((now_ms() if now is None else now) // 60_000)
    return f"{_minute(minute, today)}:{rest // 1000:02d}.{rest % 1000:03d}"


def recent(ms: int | float, *, now: int | None = None) -> str:
    """Format epoch ms as `12:00:00` today, else with its date as `01-31 12:00:00`, in local time."""
    return clock(ms, now=now)[:-4]


def minute(ms: int | float, *, now: int | None = None) -> str:
    """Format epoch ms as `12:00` today, else with its date as `01-31 12:00`, in local time."""
    return clock(ms, now=now)[:-7]


def zone(ms: int | float) -> str:
    """The name of the local time zone at epoch ms, such as `UTC` or `CEST`; its offset where it has no name."""
    return _local(ms / 1000).strftime("%Z")


@lru_cache(maxsize=64)
def _minute(minute: int, today: str) -> str:
    """Format a minute since the epoch as `12:00`, with its date where that is not `today`; with the year where needed.

    Cached: the lines of a log share minutes, and time zones are slow.
    """
    day, time = _day(minute), _local(minute * 60).strftime("%H:%M")
    if day == today:
        return time
    return f"{day[5:] if day[:4] == today[:4] else day} {time}"


@lru_cache(maxsize=64)
def _day(minute: int) -> str:
    """The local date of a minute since the epoch, as `2026-01-31`."""
    return _local(minute * 60).strftime("%Y-%m-%d")


def _local(seconds: float) -> datetime:
    """A time in the local zone; in UTC where it is outside of the years 1 to 9999 there, as at the end of 9999."""
    try:
        return datetime.fromtimestamp(seconds).astimezone()
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(seconds, UTC)


def stamp(ms: int | float) -> str:
    """Format epoch ms as `2026-01-31 12:00:00` in local time."""
    return _local(ms / 1000).strftime("%Y-%m-%d %H:%M:%S")


def brief(ms: int | float, *, now: int | None = None) -> str:
    """Format epoch ms as `12:00:00` within 12 hours, else `01-31 12:00`, else `2025-01-31`, in local time."""
    now = now_ms() if now is None else now
    if abs(now - ms) < 12 * _UNITS["h"]:
        return stamp(ms)[11:]
    return stamp(ms)[5:16] if stamp(ms)[:4] == stamp(now)[:4] else stamp(ms)[:10]


def ago(ms: int | float, *, now: int | None = None) -> str:
    """Format the age of epoch ms as `12s`, `5m`, `3h`, `2d`; `0s` for the future, which is clock skew."""
    return span(max(0, (now_ms() if now is None else now) - ms))


def span(ms: int | float) -> str:
    """Format milliseconds in at most two units: `850ms`, `1.2s`, `3m12s`, `2d4h`."""
    if ms < 1000:
        return f"{round(ms)}ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 10 else f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    days, rest = divmod(hours, 24)
    return f"{days}d{rest}h" if rest else f"{days}d"
