"""The retry policy, the same for messages of the queue and for requests that are queued."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.runtime import Reject, retry
from rtp.runtime.delivery import Delivery
from rtp.runtime.event import Identity
from rtp.runtime.outcomes import Busy, Outage, Outcome, Settled
from rtp.runtime.settings import Settings
from rtp.runtime.verdict import judge
from tests.unit.runtime.fakes import NOW

DOWN = ConnectionError("no answer")


def pause(outcome: Outcome, *, receives: int = 1, is_last: bool = False) -> int:
    delivery = Delivery("{}", "queue", Identity("e1", 1), receives=receives, is_last=is_last)
    return retry.pause(outcome, delivery, Settings(backoff_base_s=2, backoff_cap_s=300), NOW)


@given(st.integers(1, 1000), st.integers(0, 900), st.integers(1, 43_200), st.floats(0, 1, exclude_max=True))
def test_backoff_doubles_within_its_bounds(receives: int, base: int, cap: int, chance: float) -> None:
    seconds = retry.backoff(receives, base=base, cap=cap, rng=lambda: chance)

    full = min(cap, base * 2.0 ** min(receives - 1, 40))
    assert full / 2 <= seconds <= full + 1
    assert isinstance(seconds, int)


def test_backoff_is_about_one_two_four_seconds() -> None:
    least = [retry.backoff(n, base=1, cap=300, rng=lambda: 0) for n in range(1, 6)]
    most = [retry.backoff(n, base=1, cap=300, rng=lambda: 0.999) for n in range(1, 6)]

    assert least == [1, 1, 2, 4, 8]
    assert most == [1, 2, 4, 8, 16]


def test_four_pauses_last_longer_than_an_outage_of_twelve_minutes() -> None:
    # The queue's visibility timeout, six times a function's 30 s, would wait 4 x 180 s.
    assert sum(retry.outage_backoff(n, rng=lambda: 0) for n in range(1, 5)) >= 720


@pytest.mark.parametrize("receives", [1, 2, 3])
def test_a_failure_of_the_processor_waits_the_configured_backoff(receives: int) -> None:
    seconds = pause(Settled(judge(ValueError("no"))), receives=receives)

    assert 2 ** (receives - 1) <= seconds <= 2**receives


def test_after_the_last_attempt_the_message_is_visible_at_once_so_that_sqs_moves_it() -> None:
    assert pause(Settled(judge(ValueError("no"), is_last=True)), is_last=True) == 0


@pytest.mark.parametrize(
    "outcome",
    [
        Outage("claim", DOWN),
        Outage("record", DOWN, NOW - 5),
        Settled(judge(DOWN, is_outage=True)),
        Settled(judge(DOWN, is_outage=True, is_last=True)),
    ],
)
@pytest.mark.parametrize("is_last", [False, True])
def test_an_outage_waits_longer_than_a_failure(outcome: Outcome, is_last: bool) -> None:
    assert 40 <= pause(outcome, receives=2, is_last=is_last) <= 50


@pytest.mark.parametrize(
    "outcome", [Busy(NOW + 60), Outage("record", DOWN, NOW + 60), Settled(judge(DOWN, is_outage=True), NOW + 60)]
)
def test_the_pause_lasts_until_a_running_lease_ends(outcome: Outcome) -> None:
    assert pause(outcome) == 61


@pytest.mark.parametrize(("until", "seconds"), [(0, 1), (NOW - 10, 1), (NOW + 86_400, 900)])
def test_the_pause_of_a_busy_event_is_within_the_limit_of_sqs(until: float, seconds: int) -> None:
    assert pause(Busy(until)) == seconds


def test_a_refused_event_is_done() -> None:
    assert Settled(judge(Reject("no"))).is_done
