from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import UsageError
from rtp.runtime import wire
from rtp.text import times
from rtp.text.times import brief, clock, iso, parse_duration, parse_when, recent, span

NOW = 1_769_860_800_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [("5m", 300_000), ("1h30m", 5_400_000), ("90 s", 90_000), ("2 days", 172_800_000), ("1.5h", 5_400_000), ("7ms", 7)],
)
def test_durations(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("now", NOW),
        ("10m ago", NOW - 600_000),
        ("10 minutes ago", NOW - 600_000),
        ("2026-01-31T12:00:00Z", NOW),
        ("2026-01-31T13:00:00+01:00", NOW),
        ("1769860800", NOW),
        ("1769860800000", NOW),
        ("1769860800.5", NOW + 500),
    ],
)
def test_times(text: str, ms: int) -> None:
    assert parse_when(text, now=NOW) == ms


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("23:40", "2026-03-30T23:40:00"),  # later than now: the last one was yesterday
        ("9:05", "2026-03-31T09:05:00"),
        ("09:05:07", "2026-03-31T09:05:07"),
        ("today", "2026-03-31T00:00:00"),
        ("Yesterday", "2026-03-30T00:00:00"),
        ("yesterday 23:40", "2026-03-30T23:40:00"),
        ("today 13:00", "2026-03-31T13:00:00"),
        ("3h20", "2026-03-31T08:40:00"),
        ("2m30", "2026-03-31T11:57:30"),
    ],
)
def test_times_of_the_day(text: str, moment: str) -> None:
    assert parse_when(text, now=parse_when("2026-03-31T12:00:00")) == parse_when(moment)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "25:00",
        "12:60",
        "yesterday noon",
        "3d20",
        "soon",
        "5",
        "5x",
        "m5",
        "1h-5m",
        "2026-13-01",
        "99999999999999999999",
    ],
)
def test_an_invalid_time_is_reported_with_examples(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_when(text)
    assert "10m ago" in caught.value.hint


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_when(text, now=NOW)


@given(st.integers(0, 4_000_000_000_000))
def test_iso_is_exact_to_the_millisecond(ms: int) -> None:
    back = datetime.fromisoformat(iso(ms))
    assert round((back - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) == ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [(850, "850ms"), (1234, "1.2s"), (45_000, "45s"), (192_000, "3m12s"), (3_600_000, "1h"), (187_200_000, "2d4h")],
)
def test_spans_read_at_a_glance(ms: int, text: str) -> None:
    assert span(ms) == text


def test_a_recent_time_is_shown_without_its_date() -> None:
    now = parse_when("2026-03-31T12:00:00")
    assert brief(now - 60_000, now=now) == "11:59:00"
    assert brief(now - 40 * 86_400_000, now=now).startswith("02-19 1")
    assert brief(now - 400 * 86_400_000, now=now).startswith("2025-02-")


def test_a_time_that_is_not_of_today_has_its_date() -> None:
    noon = int(datetime(2026, 6, 15, 12).astimezone().timestamp() * 1000)  # of the machine's own time zone
    day = 86_400_000

    assert clock(noon + 7, now=noon) == "12:00:00.007"
    assert clock(noon - 13 * 3_600_000, now=noon) == "06-14 23:00:00.000"
    assert clock(noon - day, now=noon) == "06-14 12:00:00.000"
    assert clock(noon - 200 * day, now=noon)[:10] == "2025-11-27"
    assert (recent(noon, now=noon), recent(noon - day, now=noon)) == ("12:00:00", "06-14 12:00:00")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_last_moment_that_an_event_may_have_is_shown_in_every_zone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for show in (times.stamp, times.clock, times.recent, times.minute, times.brief, times.zone, times.iso):
            assert show(wire.MAX_TIMESTAMP) and show(0)
    finally:
        monkeypatch.undo()
        time.tzset()
