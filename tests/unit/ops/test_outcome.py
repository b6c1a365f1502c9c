"""Waiting for events' outcomes: how often records are read, and when the waiting ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from rtp.ops.events import outcome
from rtp.ops.work.clock import Clock
from rtp.ops.work.pool import Stop
from rtp.runtime.event import Identity
from tests.unit.deploy.fakes import FakeAws

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from rtp.aws import Aws


class Table:
    """Events that end at a read. ends: event -> the number of the read, from 1, that finds it ended."""

    def __init__(self, ends: Mapping[str, int], *, stop_at: int = 0) -> None:
        self.ends, self.stop_at = ends, stop_at
        self.stop = Stop()
        self.now = 0.0
        self.pauses: list[float] = []
        self.asked: list[list[str]] = []
        self.clock = Clock(monotonic=lambda: self.now, wait=self._wait)
        self.aws = cast("Aws", FakeAws({"batch_get_item": self._get}))

    def _wait(self, event: Event, seconds: float) -> bool:
        assert event is self.stop.drain
        self.pauses.append(round(seconds, 4))
        self.now += seconds
        return event.is_set()

    def _get(self, RequestItems: Any) -> dict[str, Any]:
        keys = RequestItems["t"]["Keys"]
        self.asked.append([key["id"]["S"] for key in keys])
        reads = len(self.asked)
        if reads == self.stop_at:
            self.stop.drain.set()
        items = [
            {**key, "status": {"S": "processed" if reads >= self.ends[key["id"]["S"]] else "processing"}}
            for key in keys
        ]
        return {"Responses": {"t": items}}

    def wait(self, timeout_s: float = 100.0, **options: Any) -> list[tuple[str, bool]]:
        keys = [Identity(event_id, 1) for event_id in self.ends]
        polled = outcome.poll(self.aws, "t", keys, timeout_s=timeout_s, stop=self.stop, clock=self.clock, **options)
        return [(str(record["id"]), is_final) for record, is_final in polled]


def test_each_event_is_read_until_it_has_ended_and_the_waiting_ends_with_the_last() -> None:
    table = Table({"a": 1, "b": 2})
    assert table.wait() == [("a", True), ("b", False), ("b", True)]
    assert table.asked == [["a", "b"], ["b"]]


def test_the_pauses_grow_while_nothing_ends_up_to_a_second() -> None:
    table = Table({"a": 12})
    table.wait()
    assert table.pauses[:4] == [0.05, 0.08, 0.128, 0.2048]
    assert table.pauses[-1] == 1.0 and len(table.pauses) == 11


@pytest.mark.parametrize(("ended", "again"), [(9, False), (10, True)])
def test_the_pauses_start_again_where_a_tenth_of_the_events_has_ended(ended: int, again: bool) -> None:
    ends = {f"e{n}": 3 if n < ended else 4 for n in range(100)}
    table = Table(ends)
    table.wait()
    assert table.pauses == [0.05, 0.08, 0.05 if again else 0.128]


def test_the_waiting_ends_at_its_time_and_when_it_is_stopped() -> None:
    late = Table({"a": 99})
    assert set(late.wait(timeout_s=0.2)) == {("a", False)}
    assert late.now == pytest.approx(0.2)
    stopped = Table({"a": 99}, stop_at=3)
    stopped.wait()
    assert len(stopped.asked) == 3


def test_the_same_event_is_asked_for_once_and_nothing_without_events() -> None:
    table = Table({"a": 1})
    keys = [Identity("a", 1)] * 3
    found = list(outcome.wait(table.aws, "t", keys, timeout_s=1, stop=Stop()))
    assert [record["id"] for record in found] == ["a"] and table.asked == [["a"]]
    assert list(outcome.wait(table.aws, "t", [], timeout_s=1, stop=Stop())) == []
    assert len(table.asked) == 1


def test_what_has_ended_is_what_the_caller_says() -> None:
    table = Table({"a": 1})
    assert (
        list(outcome.wait(table.aws, "t", [Identity("a", 1)], timeout_s=0, stop=Stop(), has_ended=lambda _: False))
        == []
    )


def test_a_poll_that_is_stopped_before_it_begins_reads_nothing() -> None:
    table = Table({"a": 1})
    table.stop.drain.set()
    assert table.wait() == [] and table.asked == []
    found = outcome.wait(table.aws, "t", [Identity("a", 1)], timeout_s=9, stop=table.stop)
    assert list(found) == []


@pytest.mark.parametrize(
    ("count", "ended", "pauses"), [(10, 1, [0.05, 0.05]), (10, 0, [0.05, 0.08]), (11, 1, [0.05, 0.08])]
)
def test_one_of_ten_events_is_a_tenth_and_one_of_eleven_is_not(count: int, ended: int, pauses: list[float]) -> None:
    table = Table({f"e{n}": 2 if n < ended else 3 for n in range(count)})
    table.wait()
    assert table.pauses == pauses


def test_an_end_counts_for_the_pause_after_its_own_read_only() -> None:
    table = Table({"a": 2, **{f"e{n}": 5 for n in range(9)}})
    table.wait()
    assert table.pauses == [0.05, 0.05, 0.08, 0.128]
