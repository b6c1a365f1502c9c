"""Threads that work through a list: every element that was begun is answered for, whatever happens."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from rtp.ops.work import pool
from rtp.ops.work.pool import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_everything_is_done_once() -> None:
    done = list(pool.each(range(500), lambda n: [n, -n], threads=8, stop=Stop(), abandon=lambda n, _: [n]))

    assert sorted(done) == sorted([*range(500), *(-n for n in range(500))])


def test_elements_are_taken_as_needed() -> None:
    taken: list[int] = []
    stop = Stop()

    def source() -> Iterator[int]:
        for n in range(1_000_000):
            taken.append(n)
            yield n

    for _ in pool.each(source(), lambda n: [n], threads=2, stop=stop, abandon=lambda n, _: [n]):
        if len(taken) > 20:
            stop.drain.set()

    assert len(taken) < 1_000_000


def test_a_rate_is_kept() -> None:
    begun = time.monotonic()
    done = list(pool.each(range(11), lambda n: [n], threads=4, stop=Stop(), abandon=lambda n, _: [n], rate=50))

    assert len(done) == 11
    assert time.monotonic() - begun >= 10 / 50


def test_drain_finishes_what_has_begun() -> None:
    stop, begun = Stop(), []

    def work(n: int) -> list[int]:
        begun.append(n)
        if len(begun) == 3:
            stop.drain.set()
        time.sleep(0.02)
        return [n]

    done = list(pool.each(range(100), work, threads=3, stop=stop, abandon=lambda *_: [-1]))

    assert sorted(done) == sorted(begun)
    assert len(done) < 100


def test_abort_abandons_what_has_begun() -> None:
    stop, entered, leave = Stop(), threading.Barrier(3), threading.Event()

    def work(n: int) -> list[str]:
        entered.wait()
        leave.wait(5)
        return [f"done {n}"]

    def pull() -> None:
        entered.wait()
        stop.drain.set()
        stop.abort.set()

    threading.Thread(target=pull).start()
    done = list(pool.each(range(10), work, threads=2, stop=stop, abandon=lambda n, error: [f"left {n} {error}"]))
    leave.set()

    assert sorted(done) == ["left 0 None", "left 1 None"]


def test_an_error_ends_the_others_and_is_raised_after_their_results() -> None:
    def work(n: int) -> list[int | str]:
        if n == 5:
            raise KeyError(n)
        return [n]

    done: list[int | str] = []
    with pytest.raises(KeyError):
        done.extend(pool.each(range(10_000), work, threads=1, stop=Stop(), abandon=lambda n, error: [f"{n} {error}"]))

    assert done == [0, 1, 2, 3, 4, "5 5"]
