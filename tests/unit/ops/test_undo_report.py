"""What undo says of the messages that it does not restore, and what it takes for an event that still runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.ops.dlq import undo
from rtp.ops.events import outcome
from rtp.ops.work.pool import Stop
from rtp.text.times import now_ms
from tests.unit.ops.fakes import QUEUE
from tests.unit.ops.test_redrive import filled, redrive, target

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.ops.fakes import FakeAws

SOON = 600_000


def undone(aws: FakeAws, place: Path) -> undo.Undone:
    where = target(aws, place)
    return undo.undo(where, undo.load(where, None), stop=Stop(), clock=aws.clock)


def test_every_message_of_the_run_is_in_one_of_the_counts(tmp_path: Path) -> None:
    # Given six redriven events: processed, dead again, dead with a lease that has ended, being processed, being
    # processed after an earlier death, and without a record
    aws = filled(6)
    redrive(aws, tmp_path)
    aws.queues[QUEUE].clear()
    aws.record("e0", 0, status="processed", lease_until=now_ms() - 1)
    aws.record("e1", 1, status="dead", attempt_count=1)
    aws.record("e2", 2, status="dead", attempt_count=1, lease_until=now_ms() - 1)
    aws.record("e3", 3, status="processing", lease_until=now_ms() + SOON)
    aws.record("e4", 4, status="dead", lease_until=now_ms() + SOON)

    done = undone(aws, tmp_path)

    # Then one that still runs is neither dead nor processed
    assert (done.what, done.back, done.processed, done.dead, done.earlier, done.unseen) == ("redrive", 0, 1, 2, 0, 3)
    assert done.run == undo.load(target(aws, tmp_path), None).run


@pytest.mark.parametrize(
    ("status", "lease_ms", "ended"),
    [
        ("processed", None, True),
        ("dead", None, True),
        ("failed", None, False),
        ("processing", None, False),
        ("dead", -1_000, True),
        ("dead", SOON, False),
        ("processed", SOON, False),
        ("failed", -1_000, False),
    ],
)
def test_an_event_with_a_live_lease_has_not_ended(status: str, lease_ms: int | None, ended: bool) -> None:
    lease = {} if lease_ms is None else {"lease_until": now_ms() + lease_ms}
    assert outcome.has_ended({"id": "e1", "timestamp": 1, "status": status, **lease}) is ended
