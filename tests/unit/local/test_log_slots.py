"""Which stream an invocation's lines go to on the engine."""

from __future__ import annotations

from rtp.local.patches.function_logs import Slots


def test_one_after_the_other_they_share_a_stream() -> None:
    slots = Slots()

    assert [slots.take("g", at, at + 10)[0] for at in (0, 10, 20, 500)] == [0, 0, 0, 0]


def test_at_the_same_time_each_has_its_own() -> None:
    slots = Slots()

    assert [slots.take("g", start, end)[0] for start, end in ((0, 100), (10, 50), (20, 30), (60, 80))] == [0, 1, 2, 1]


def test_groups_are_independent() -> None:
    slots = Slots()

    assert [slots.take(group, 0, 100)[0] for group in ("a", "b")] == [0, 0]


def test_rounding_opens_no_stream_and_mixes_no_lines() -> None:
    slots = Slots()
    slots.take("g", 0, 100)

    assert slots.take("g", 99, 120) == (0, 100)
