"""The smoke event of a deploy: a gateway that does not know its new key yet is given time, and no more than some."""

from __future__ import annotations

import pytest

from rtp.ops.events.sent import Sent
from rtp.ops.stack.apply.smoke import answered
from tests.clocks import FakeClock


def response(status: int) -> Sent:
    return Sent("e1", 1, "processed" if status == 200 else "failed", status, "1-2", 3.0)


@pytest.mark.parametrize(("statuses", "asked"), [([200], 1), ([403, 403, 404, 200], 4), ([500], 1), ([403] * 99, 10)])
def test_only_what_may_come_to_know_us_is_asked_again(statuses: list[int], asked: int) -> None:
    answers, time = iter(statuses), FakeClock()
    sent = answered(lambda: response(next(answers)), time.clock)
    assert sent.http_status == statuses[asked - 1]
    assert len(time.pauses) == asked - 1
    assert sum(time.pauses) <= 30
