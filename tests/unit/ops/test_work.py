"""Polling, pauses, pools and background threads: each with a clock that only pauses move."""

from __future__ import annotations

import threading
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from rtp.errors import AwsError, CredentialsError, EndpointError
from rtp.ops.work import background, pool
from rtp.ops.work.clock import Backoff
from rtp.ops.work.polling import FollowPace, every, poll
from rtp.ops.work.pool import Stop
from tests.clocks import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTAGE = EndpointError("Nothing answered.")


def test_the_last_turn_comes_at_the_deadline() -> None:
    time = FakeClock()
    assert list(every(4.0, timeout_s=10.0, clock=time.clock)) == [10.0, 6.0, 2.0, 0.0]
    assert time.pauses == [4.0, 4.0, 2.0]


def test_a_turn_that_takes_longer_than_the_time_is_the_last() -> None:
    time = FakeClock()
    for _ in every(1.0, timeout_s=5.0, clock=time.clock):
        time.now += 7.0
    assert time.pauses == []


def test_a_stop_ends_the_turns() -> None:
    time, stop = FakeClock(), Stop()
    turns = every(1.0, stop=stop, clock=time.clock)
    next(turns)
    next(turns)
    stop.drain.set()
    assert list(turns) == []
    assert time.pauses == [1.0]


def test_polling_returns_the_accepted_value_or_else_the_last() -> None:
    time, values = FakeClock(), iter(range(100))
    assert poll(lambda: next(values), lambda n: n == 3, 1.0, clock=time.clock) == 3
    assert time.pauses == [1.0, 1.0, 1.0]
    assert poll(lambda: next(values), lambda _: False, 1.0, timeout_s=2.0, clock=time.clock) == 6
    assert poll(lambda: next(values), lambda _: False, repeat(1.0, 2), clock=time.clock) == 9


def test_pauses_grow_to_the_longest_and_start_again() -> None:
    backoff = Backoff(1.0, 5.0)
    assert [next(backoff) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]
    backoff.reset()
    assert next(backoff) == 1.0


def test_jitter_takes_at_most_its_share() -> None:
    rolls = iter([0.0, 1.0])
    backoff = Backoff(8.0, 8.0, jitter=0.5, random=lambda: next(rolls))
    assert (next(backoff), next(backoff)) == (4.0, 8.0)


def test_a_follower_slows_down_when_idle_and_hurries_again_with_news() -> None:
    pace = FollowPace(1.0, 2.0, lambda _: None)
    pauses = []
    for has_news in (True, False, False, False, False, True):
        pace.succeeded(has_news=has_news)
        pauses.append(next(pace))
    assert pauses == [*sorted(pauses[:-1]), 1.0]
    assert max(pauses) == 2.0


def test_an_outage_is_reported_once_and_so_is_its_end() -> None:
    said: list[str] = []
    pace = FollowPace(1.0, 2.0, said.append)
    pauses = []
    for _ in range(8):
        pace.failed(OUTAGE)
        pauses.append(next(pace))
    pace.succeeded(has_news=False)
    pace.succeeded(has_news=False)
    assert (pauses[0], pauses[-1]) == (1.0, 30.0)
    assert said == ["Nothing answered. Trying again.", "Following again; nothing was missed."]


@pytest.mark.parametrize("error", [CredentialsError("expired"), AwsError("no", code="access-denied")])
def test_an_error_that_does_not_pass_by_itself_ends_the_following(error: AwsError) -> None:
    with pytest.raises(type(error)):
        FollowPace(1.0, 2.0, lambda _: None).failed(error)


def test_results_come_in_order_and_no_further_ahead_than_asked() -> None:
    taken: list[int] = []

    def source() -> object:
        for n in range(100):
            taken.append(n)
            yield n

    results = pool.map(lambda n: n * 2, source(), threads=4, ahead=3)  # type: ignore[arg-type]
    assert [next(results), next(results)] == [0, 2]
    assert len(taken) == 5
    assert list(results) == [n * 2 for n in range(2, 100)]


def test_an_error_drops_what_has_not_begun() -> None:
    begun: list[int] = []

    def work(n: int) -> int:
        begun.append(n)
        raise KeyError(n)

    with pytest.raises(KeyError):
        list(pool.map(work, range(1000), threads=1, ahead=2))
    assert len(begun) <= 2


def test_results_and_errors_are_gathered_by_name() -> None:
    error = KeyError("no")

    def fail() -> int:
        raise error

    assert pool.gather({"a": lambda: 1, "b": fail}) == {"a": 1, "b": error}


def test_tasks_run_beside_the_block() -> None:
    entered = threading.Event()
    with pool.tasks(1) as start:
        task = start(entered.wait, 60)
        entered.set()
    assert task.result()


def test_a_loop_that_is_left_early_begins_nothing_new_and_waits_for_what_has_begun() -> None:
    ended: list[int] = []
    stop = Stop()

    def work(n: int) -> list[int]:
        ended.append(n)
        return [n]

    results = pool.each(range(1_000_000), work, threads=2, stop=stop)
    next(results)
    results.close()  # type: ignore[attr-defined]
    count = len(ended)
    assert stop.drain.is_set()
    assert count == len(ended) < 1_000_000


def test_an_action_is_repeated_until_the_block_ends_or_it_says_so() -> None:
    calls: list[int] = []
    thrice = threading.Event()

    def act() -> bool:
        calls.append(1)
        if len(calls) == 3:
            thrice.set()
        return len(calls) < 3

    with background.repeating(act, 0.001):
        assert thrice.wait(60)
    assert len(calls) == 3


def test_a_prefetched_error_reaches_the_reader_after_the_elements() -> None:
    def source() -> object:
        yield 1
        raise KeyError("no")

    elements: background.Prefetch[int] = background.Prefetch(source())  # type: ignore[arg-type]
    assert next(elements) == 1
    with pytest.raises(KeyError):
        next(elements)


def test_an_interrupt_does_not_wait_for_calls_that_do_not_end() -> None:
    # Given a call that is not answered
    never, begun = threading.Event(), threading.Event()

    def call(_: int = 0) -> None:
        begun.set()
        never.wait()

    # When the operator interrupts a block of tasks, or a pool / Then both end, and what had not begun is dropped
    with pytest.raises(KeyboardInterrupt), pool.tasks(1) as start:
        start(call)
        later = start(call)
        begun.wait()
        raise KeyboardInterrupt
    assert later.cancelled()

    class Interrupted:
        """Elements of which the second is an interrupt, while the first one is under way."""

        def __iter__(self) -> Iterator[int]:
            yield 1
            begun.wait()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(pool.map(call, Interrupted(), threads=2))
    never.set()


def test_an_error_waits_for_calls_that_run() -> None:
    ended: list[int] = []
    go = threading.Event()

    def call() -> None:
        go.wait()
        ended.append(1)

    with pytest.raises(ValueError, match="wrong"), pool.tasks(1) as start:
        start(call)
        threading.Timer(0.05, go.set).start()
        raise ValueError("wrong")
    assert ended == [1]
