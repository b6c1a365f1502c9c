"""When dead events are lost, from when their messages were first sent and their raw events written."""

from __future__ import annotations

import time

import pytest

from rtp.ops.dlq import deadlines
from rtp.ops.dlq.deadlines import Dead
from rtp.text.times import parse_when

NOW = parse_when("2026-03-10T12:00:00Z")
HOUR = 3_600_000


def sent(hours_ago: float, raw_key: str = "") -> Dead:
    return Dead(NOW - round(hours_ago * HOUR), raw_key)


def first(*events: Dead, raw_days: int = 7) -> deadlines.Deadlines:
    return deadlines.of(events, message_days=14, raw_days=raw_days, now=NOW)


def test_a_message_expires_14_days_after_it_was_first_sent() -> None:
    found = first(sent(13 * 24), sent(1))

    assert (found.message, found.raw, found.first) == ("2026-03-11T12:00:00.000Z", None, "message")


@pytest.mark.parametrize(
    ("raw_key", "at"),
    [
        ("raw/2026/03/10/11/x.ndjson.gz#3", "2026-03-18T00:00:00.000Z"),  # S3 rounds up to the next midnight
        ("raw/2026/03/04/00/x.ndjson.gz#0", "2026-03-12T00:00:00.000Z"),
        ("raw/2026/99/04/00/x.ndjson.gz#0", None),
        ("elsewhere", None),
    ],
)
def test_a_raw_event_expires_at_the_midnight_after_its_days(raw_key: str, at: str | None) -> None:
    found = first(sent(1, raw_key))

    assert (found.raw, found.first) == (at, "raw" if at else "message")


def test_the_limit_that_comes_first_is_named() -> None:
    assert first(sent(13.9 * 24, "raw/2026/03/10/11/x#0")).first == "message"
    assert first(sent(1, "raw/2026/03/10/11/x#0")).first == "raw"
    assert first(sent(1, "raw/2026/03/10/11/x#0"), raw_days=30).first == "message"


def test_what_is_lost_already_is_no_deadline() -> None:
    found = first(sent(15 * 24, "raw/2026/02/01/00/x#0"), sent(24, "raw/2026/03/09/12/x#0"))

    assert (found.message, found.raw) == ("2026-03-23T12:00:00.000Z", "2026-03-17T00:00:00.000Z")
    assert first() == deadlines.Deadlines(None, None, None)


def test_the_first_limit_within_a_time() -> None:
    found = first(sent(12.5 * 24))

    assert found.within(48 * HOUR, now=NOW) == "message"
    assert found.within(24 * HOUR, now=NOW) is None
    assert first().within(48 * HOUR, now=NOW) is None


def test_a_deadline_that_is_now_is_past_and_one_that_is_reached_then_counts() -> None:
    assert first(sent(14 * 24)) == deadlines.Deadlines()
    one = first(sent(14 * 24 - 1))
    assert (one.within(HOUR, now=NOW), one.within(HOUR - 1, now=NOW)) == ("message", None)


def test_of_equal_deadlines_the_message_is_first_and_each_limit_is_compared_by_its_own_time() -> None:
    midnight = parse_when("2026-03-18T00:00:00Z")
    both = deadlines.of(
        [Dead(midnight - 14 * 24 * HOUR, "raw/2026/03/10/11/x#0")], message_days=14, raw_days=7, now=NOW
    )
    assert (both.message, both.raw, both.first) == (both.raw, both.message, "message")
    raw = first(sent(1, "raw/2026/03/04/00/x.ndjson.gz#0"))
    assert raw.first == "raw"
    assert raw.within(37 * HOUR, now=NOW) == "raw"  # the message itself has nearly 14 days
    assert raw.within(35 * HOUR, now=NOW) is None


def test_a_raw_event_that_s3_deletes_now_is_lost_already() -> None:
    midnight = parse_when("2026-03-18T00:00:00Z")
    one = [Dead(midnight, "raw/2026/03/10/11/x#0")]
    assert deadlines.of(one, message_days=14, raw_days=7, now=midnight).raw is None
    assert deadlines.of(one, message_days=14, raw_days=7, now=midnight - 1).raw == "2026-03-18T00:00:00.000Z"


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_the_hours_of_raw_events_are_those_of_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        found = [first(sent(1, f"raw/2026/03/10/{hour}/x#0")).raw for hour in ("00", "23")]
    time.tzset()
    assert found == ["2026-03-18T00:00:00.000Z"] * 2
