"""Following: nothing lost, nothing doubled, no stall, whatever the service does. The clock is a fake."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.aws.logs import Page
from rtp.errors import AwsError, CredentialsError, EndpointError
from rtp.ops.telemetry import logs, tail
from rtp.ops.work.background import Prefetch
from rtp.ops.work.clock import Clock
from tests.unit.watch.fakes import OUTPUTS, PROCESSOR, START, WORKER, FakeLogs, Time, throttled

if TYPE_CHECKING:
    from rtp.aws import Aws


class Over(Exception):
    """The fake time is over."""


def follow(fake: FakeLogs, *, until: int, since: int = 0, notices: list[str] | None = None, **query: Any) -> list[str]:
    """Messages that a follower of `until` fake milliseconds sees, with the moment at which it sees each."""
    shown: list[str] = []

    def sleep(seconds: float) -> None:
        if fake.clock.ms >= START + until:
            raise Over
        fake.clock.sleep(seconds)

    events = logs.follow(
        cast("Aws", fake),
        OUTPUTS,
        logs.LogQuery(since=START + since, **query),
        notify=(notices if notices is not None else []).append,
        now=fake.clock.now,
        clock=Clock(sleep=sleep),
    )
    with pytest.raises(Over):
        for event in events:
            shown.append(event.message)
    return shown


def test_existing_lines_come_before_new_ones() -> None:
    fake = FakeLogs(Time())
    for n in range(-5, 30):
        fake.put(WORKER if n % 2 else PROCESSOR, n * 1_000, f"line {n}")

    assert follow(fake, until=40_000, since=-5_000) == [f"line {n}" for n in range(-5, 30)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["aws", "engine"])
def test_late_lines_are_shown_once(seed: int, kind: str) -> None:
    """Up to LATE_MS late, from two functions, through throttling, with small pages, on a clock that is wrong."""
    rng = random.Random(seed)  # noqa: S311 - a dice for a test
    clock = Time(skew=rng.choice([0, -300_000, 300_000]) if kind == "aws" else 0)
    aws = kind == "aws"
    fake = FakeLogs(clock, page=rng.choice([1, 3, 50]) if aws else 10_000, tokens=aws, with_ids=aws, dated=aws)
    expected = []
    for n in range(150):
        late = rng.choice([0, 0, 0, 500, 4_000, 9_000, 60_000, tail.LATE_MS - 40_000])
        fake.put(rng.choice([PROCESSOR, WORKER]), rng.randrange(0, 240_000), f"line {n}", late=late)
        expected.append(f"line {n}")

    shown: list[str] = []

    def sleep(seconds: float) -> None:
        if clock.ms >= START + 600_000:
            raise Over
        clock.sleep(seconds)
        if rng.random() < 0.1:
            fake.failures = [rng.choice([throttled(), EndpointError("Nothing answered.")])]

    events = logs.follow(
        cast("Aws", fake), OUTPUTS, logs.LogQuery(since=START), now=clock.now, clock=Clock(sleep=sleep)
    )
    with pytest.raises(Over):
        for event in events:
            shown.append(event.message)

    assert sorted(shown) == sorted(expected)


def test_a_poll_that_fails_midway_loses_no_line() -> None:
    fake = FakeLogs(Time(START + 10_000), page=2)
    for n in range(12):
        fake.put(WORKER if n % 2 else PROCESSOR, n * 10, f"line {n}")
    answers = iter([None, None, None, throttled(), None, throttled()])
    plain = fake.call

    def call(service: str, operation: str, **params: Any) -> dict[str, Any]:
        failure = next(answers, None)
        if failure is not None:
            raise failure
        return plain(service, operation, **params)

    fake.call = call  # type: ignore[method-assign]

    shown = follow(fake, until=20_000)

    assert sorted(shown) == sorted(f"line {n}" for n in range(12))


def test_equal_lines_of_one_millisecond_are_each_shown_once() -> None:
    fake = FakeLogs(Time(), with_ids=False, page=10_000)
    for _ in range(3):
        fake.put(WORKER, 1_000, "the same")
    fake.put(WORKER, 1_000, "the same", late=3_000)

    assert follow(fake, until=30_000) == ["the same"] * 4


def test_throttling_and_its_end_are_reported_once_and_the_pauses_grow() -> None:
    fake = FakeLogs(Time())
    fake.failures = [throttled() for _ in range(12)]
    fake.put(WORKER, 500, "after all")
    notices: list[str] = []

    shown = follow(fake, until=120_000, notices=notices)

    assert shown == ["after all"]
    assert len(notices) == 2
    assert "throttled" in notices[0]
    assert "nothing was missed" in notices[1]
    assert max(fake.clock.slept) == 30.0


def test_an_idle_tail_polls_less_often_than_a_busy_one() -> None:
    idle, busy = FakeLogs(Time()), FakeLogs(Time())
    for n in range(120):
        busy.put(WORKER, n * 500, f"line {n}")

    follow(idle, until=60_000)
    shown = follow(busy, until=60_000)

    assert shown == [f"line {n}" for n in range(120)]
    assert len(idle.calls) / 2 < 20
    assert max(idle.clock.slept) <= 5.0
    assert max(busy.clock.slept[:-2]) <= 1.3


def test_memory_and_overlap_are_bounded_on_a_busy_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "MOST", 300)
    clock = Time()
    fake = FakeLogs(clock, page=10_000)
    for n in range(6_000):
        fake.put(WORKER, n * 20, f"line {n}")

    shown = follow(fake, until=130_000)

    assert len(shown) == len(set(shown)) == 6_000
    again = [START + 130_000 - call["startTime"] for call in fake.calls[-20:] if call["logGroupName"] == WORKER]
    assert max(again) < 40_000


def test_a_log_group_that_is_created_later_is_waited_for() -> None:
    fake = FakeLogs(Time())
    lines = fake.groups.pop(WORKER)
    notices: list[str] = []
    shown: list[str] = []

    def sleep(seconds: float) -> None:
        fake.clock.sleep(seconds)
        if fake.clock.ms > START + 20_000 and WORKER not in fake.groups:
            fake.groups[WORKER] = lines
            fake.put(WORKER, 20_000, "hello")
        if fake.clock.ms > START + 40_000:
            raise Over

    with pytest.raises(Over):
        for event in logs.follow(
            cast("Aws", fake),
            OUTPUTS,
            logs.LogQuery(since=START),
            notify=notices.append,
            now=fake.clock.now,
            clock=Clock(sleep=sleep),
        ):
            shown.append(event.message)

    assert shown == ["hello"]
    assert notices == [f"{WORKER} does not exist yet; waiting for it."]


@pytest.mark.parametrize("error", [CredentialsError("expired"), AwsError("no", code="access-denied")])
def test_an_error_that_does_not_pass_ends_the_tail(error: AwsError) -> None:
    fake = FakeLogs(Time())
    fake.failures = [error]

    events = logs.follow(
        cast("Aws", fake), OUTPUTS, logs.LogQuery(since=START), now=fake.clock.now, clock=Clock(sleep=fake.clock.sleep)
    )

    with pytest.raises(type(error)):
        next(events)


def test_no_line_is_missing_after_the_machine_slept() -> None:
    """A laptop lid closed for two hours: the next poll reads on from where the last one was."""
    fake = FakeLogs(Time(), page=10_000)
    for n in range(100):
        fake.put(WORKER, n * 100_000, f"line {n}")
    naps = iter([7_200.0])

    def sleep(seconds: float) -> None:
        if fake.clock.ms >= START + 10_200_000:
            raise Over
        fake.clock.sleep(next(naps, seconds) if fake.clock.ms > START + 60_000 else seconds)

    shown = []
    with pytest.raises(Over):
        for event in logs.follow(
            cast("Aws", fake), OUTPUTS, logs.LogQuery(since=START), now=fake.clock.now, clock=Clock(sleep=sleep)
        ):
            shown.append(event.message)

    assert shown == [f"line {n}" for n in range(100)]


def test_a_clock_that_is_ahead_does_not_silence_the_follower() -> None:
    # Given a machine whose clock is four minutes ahead, and a follower from 10 s ago on by that clock
    fake = FakeLogs(Time(skew=240_000))
    for n in range(-20, 30):
        fake.put(WORKER, n * 1_000, f"line {n}")
    # When it follows / Then it shows what is 10 s old, and what comes
    shown = follow(fake, until=40_000, since=230_000)
    assert shown[-30:] == [f"line {n}" for n in range(30)]
    assert len(shown) in range(38, 42)  # the service's date has no milliseconds


def test_a_sweep_reaches_back_as_soon_as_its_time_has_come() -> None:
    # Given polls at these times after the first, of which each needs no more than the last seconds
    clock, starts = [START], []

    def fetch(start: int) -> Any:
        starts.append(start - START)
        return Prefetch(iter([Page([], None)]))

    lines = tail.Tail(fetch, since=START - tail.LATE_MS, now=lambda: clock[0])
    for moment in (0, 5_000, tail.SWEEP_MS - 1, tail.SWEEP_MS, tail.SWEEP_MS + 5_000):
        clock[0] = START + moment
        list(lines.poll())

    assert starts == [
        -tail.LATE_MS,
        -tail.OVERLAP_MS,
        5_000 - tail.OVERLAP_MS,
        tail.SWEEP_MS - 1 - tail.LATE_MS,
        tail.SWEEP_MS - tail.OVERLAP_MS,
    ]
