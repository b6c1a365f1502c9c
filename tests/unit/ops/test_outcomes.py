"""When a redriven event has ended again, and as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.ops import causes
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq import outcomes
from rtp.ops.dlq.outcomes import Expected, Outcomes, Pending
from rtp.ops.dlq.target import Target
from rtp.ops.events import outcome
from rtp.ops.work.pool import Stop
from rtp.runtime import digest
from rtp.runtime.event import Identity, parse
from tests.unit.ops.fakes import OUTPUTS, FakeAws, MemoryJournals, event
from tests.unit.ops.test_dlq_messages import message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.ops.events.outcome import Record

E1 = Identity("e1", 1)
FAR = 4_102_444_800_000  # a lease until then has not ended while these tests run


def record(status: str, attempts: int | None = None, **values: Any) -> Record:
    count = {} if attempts is None else {"attempt_count": attempts}
    return {"id": "e1", "timestamp": 1, "status": status, **count, **values}


@pytest.mark.parametrize(
    ("found", "before", "ended"),
    [
        (record("processed", 3), 3, True),  # between two reads, whatever the attempts
        (record("processed"), 3, True),
        (record("dead", 4), 3, True),
        (record("dead", 3), 3, False),  # the record of before
        (record("dead"), 0, False),
        (record("failed", 4), 3, False),
        (record("dead", 4, lease_until=FAR), 3, False),
        (record("processed", 4, lease_until=FAR), 3, False),
    ],
)
def test_an_event_has_ended_since_it_was_redriven(found: Record, before: int, ended: bool) -> None:
    assert outcomes.ended_since({E1: before})(found) is ended


@pytest.mark.parametrize(
    ("found", "own", "expected"),
    [
        (record("processed", digest="a"), "a", False),
        (record("processed", digest="b"), "a", True),
        (record("processed"), "a", False),
        (record("processed", digest="b"), "", False),
        (record("dead", digest="b"), "a", False),
        (record("failed", digest="b"), "a", True),
    ],
)
def test_a_record_of_another_event_is_a_conflict_unless_it_is_dead(found: Record, own: str, expected: bool) -> None:
    assert outcome.is_conflict(found, own) is expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (record("dead", digest="b"), True),
        (record("dead", digest="a"), False),
        (record("dead"), False),
        (record("processed", digest="b"), False),
    ],
)
def test_a_dead_record_of_another_event_may_be_superseded(found: Record, expected: bool) -> None:
    assert outcome.is_superseded(found, {"a"}) is expected


def waited(aws: FakeAws, expected: Iterable[Expected]) -> tuple[Outcomes, list[Pending]]:
    target = Target(aws=aws, outputs=OUTPUTS, stack="s", account="1", journals=MemoryJournals())
    steps, pending = outcomes.wait(target, list(expected), timeout_s=0.0, stop=Stop()), list[Pending]()
    while True:
        try:
            pending.append(next(steps))
        except StopIteration as ended:
            result: Outcomes = ended.value
            return result, pending


def test_each_event_ends_as_processed_dead_or_in_conflict_or_is_pending() -> None:
    # Given: processed; another event processed; dead of the cause before; of another one; and of one not known before
    aws, error = FakeAws(), {"type": "E", "message": "boom"}
    same = group("a", error)
    records: list[tuple[str, dict[str, Any]]] = [
        ("processed", {"digest": "d"}),
        ("processed", {"digest": "other"}),
        ("dead", {"error": error}),
        ("dead", {"error": {"type": "E", "message": "bang"}}),
        ("dead", {"error": error}),
        ("dead", {"error": error, "digest": "other"}),
    ]
    for n, (status, values) in enumerate(records):
        aws.record(f"e{n}", n, status=status, attempt_count=4, type="a", **values)
    groups = {4: ""}
    expected = [Expected(Identity(f"e{n}", n), "d", 3, groups.get(n, same)) for n in range(7)]

    found, pending = waited(aws, expected)

    assert found.by_status == {"processed": 1, "conflict": 1, "dead": 4}
    assert (found.pending, pending) == (1, [])
    assert found.conflicts == {Identity("e1", 1)} and found.otherwise == {Identity("e3", 3)}
    assert sorted(r["id"] for r in found.dead) == ["e2", "e3", "e4", "e5"]


def group(kind: str, error: dict[str, str]) -> str:
    return causes.group(kind, causes.of(error)).id


@pytest.mark.parametrize(
    ("status", "attempts", "is_before", "is_error_old"),
    [
        ("dead", 3, True, True),
        ("failed", 3, True, True),
        ("failed", 4, False, False),
        ("processing", 4, False, True),
        ("processing", 3, True, True),
    ],
)
def test_a_record_without_an_outcome_may_be_that_of_before(
    status: str, attempts: int, is_before: bool, is_error_old: bool
) -> None:
    aws = FakeAws()
    aws.record("e1", 1, status=status, attempt_count=attempts)
    found, (pending,) = waited(aws, [Expected(E1, "d", 3)])
    assert (pending.is_before, pending.is_error_old, pending.record["id"]) == (is_before, is_error_old, "e1")
    assert (found.pending, found.records) == (1, [])


def test_a_record_that_counts_no_attempts_is_that_of_before() -> None:
    aws = FakeAws()
    aws.record("e1", 1, status="failed")
    _, (pending,) = waited(aws, [Expected(E1, "d", 0)])
    assert pending.is_before


def test_a_record_without_a_type_or_attempts_died_of_another_cause_or_has_not_ended() -> None:
    aws, error = FakeAws(), {"type": "E", "message": "boom"}
    aws.record("e1", 1, status="dead", attempt_count=1, error=error)
    found, _ = waited(aws, [Expected(E1, "", 0, group("", error))])
    assert (found.otherwise, found.by_status) == (frozenset(), {"dead": 1})
    aws.record("e1", 1, status="dead", error=error)
    found, (pending,) = waited(aws, [Expected(E1, "", 0)])
    assert (found.pending, pending.is_before) == (1, True)


def test_the_digest_of_what_was_sent_is_the_events_or_that_of_its_text() -> None:
    one = dlq.read(message(event(1)))
    assert outcomes.sent_digest(event(1, version=2), one) == parse(event(1, version=2), E1).digest
    without_id = '{"type": "a", "data": {}}'
    assert outcomes.sent_digest(without_id, one) == parse(without_id, E1).digest
    assert outcomes.sent_digest("no event", one) == digest.of_text("no event")
