"""What a redrive or purge asks, and what its progress says of errors from before."""

from __future__ import annotations

import io
from typing import Any

import pytest

from rtp.aws import queues
from rtp.commands import consent, dlq_questions
from rtp.commands.consent import Approval, Impact
from rtp.commands.render import dlq as render_dlq
from rtp.commands.session import Session
from rtp.config import Overrides
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.inspect import Inspection
from rtp.ops.dlq.outcomes import Pending
from rtp.terminal.output import Output
from tests.unit.cli.test_consent import Terminal
from tests.unit.ops.fakes import event


def inspection(depth: int, **counts: int) -> Inspection:
    """A DLQ of `depth` messages, of which so many with each error match."""
    found = []
    for error, count in counts.items():
        texts = {"rtp_error_type": queues.attribute(error), "rtp_error_message": queues.attribute("no total")}
        message = queues.Message("m", "r", event(5), texts, 1_700_000_000_000, 3)
        found += [dlq.read(message)] * count
    return Inspection("q", depth, found, [])


def asked(found: Inspection, limit: int | None = None) -> tuple[str, str]:
    """How many the question says, and the lines above it."""
    stderr = io.StringIO()
    count = dlq_questions.show(Session(Overrides(), Output(stderr=stderr)), found, limit)
    return count, stderr.getvalue()


def test_the_question_says_how_many_of_what() -> None:
    count, lines = asked(inspection(12, KeyError=3, Reject=9))
    assert count == "12 DLQ messages"
    assert [line.split() for line in lines.splitlines()] == [
        ["9", "×", "order.created", "Reject:", "no", "total"],
        ["3", "×", "order.created", "KeyError:", "no", "total"],
    ]


@pytest.mark.parametrize(
    ("depth", "matching", "limit", "count"),
    [
        (1, 1, None, "1 DLQ message"),
        (40, 1, None, "1 DLQ message of about 40"),
        (40, 12, 12, "12 DLQ messages of about 40"),
        (5_000, 1_000, None, "at least 1,000 DLQ messages of about 5,000"),
        (5_000, 1_000, 2_000, "up to 2,000 DLQ messages of about 5,000"),
        (5_000, 1_000, 1_000, "1,000 DLQ messages of about 5,000"),
    ],
)
def test_a_part_of_the_queue_is_named_as_such(depth: int, matching: int, limit: int | None, count: str) -> None:
    assert asked(inspection(depth, Reject=matching), limit)[0] == count


@pytest.mark.parametrize(
    ("impact", "protected", "terminal", "approval", "is_asked"),
    [
        (Impact.MANY, False, True, Approval(), True),
        (Impact.MANY, False, False, Approval(), False),
        (Impact.MANY, False, True, Approval(yes=True), False),
        (Impact.SELECTED, False, True, Approval(), False),
        (Impact.SELECTED, True, True, Approval(), True),
        (Impact.LASTING, True, True, Approval(confirm="shop-dev"), False),
        (Impact.LASTING, True, True, Approval(yes=True), True),
    ],
)
def test_messages_are_counted_only_for_who_is_asked(
    impact: Impact, protected: bool, terminal: bool, approval: Approval, is_asked: bool
) -> None:
    streams = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    session: Any = Session(Overrides(), Output(stdin=streams[0], stderr=streams[1]))
    session.__dict__["environment"] = type("Protected", (), {"protected": protected})
    session.__dict__["_stack"] = None
    assert consent.is_asked(session, approval, impact) is is_asked


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Pending({"status": "dead", "attempt_count": 3}, True, True), "waits for its next attempt  error before: "),
        (Pending({"status": "processing", "attempt_count": 4}, False, True), "processing, attempt 4  error before: "),
        (Pending({"status": "failed", "attempt_count": 4}, False, False), "failed, attempt 4  KeyError"),
    ],
)
def test_an_error_from_before_the_redrive_is_called_that(step: Pending, text: str) -> None:
    step.record.update(id="e1", error={"type": "KeyError", "message": "'total'"})
    line = render_dlq.redrive_step(step)
    assert "".join(part.text for part in line.parts).startswith(f"e1: {text}")
