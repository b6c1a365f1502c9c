"""Redrive, purge and undo lose no message, whatever fails at whatever moment."""

from __future__ import annotations

import contextlib
import itertools
import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtp.aws import queues
from rtp.errors import AwsError, ConfigError, NotFoundError, RefusedError
from rtp.ops.dlq import journal, peek, purge, undo
from rtp.ops.dlq import messages as dlq
from rtp.ops.dlq.filters import Filters
from rtp.ops.dlq.move import Moved, Mover, Selection
from rtp.ops.dlq.purge import PurgeRequest
from rtp.ops.dlq.target import Target
from rtp.ops.journal_store import JournalFiles
from rtp.ops.work.pool import Stop
from rtp.runtime import wire
from tests.unit.ops.fakes import DLQ, OUTPUTS, QUEUE, FakeAws, Held, event, result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


ALL = Filters()


class Killed(BaseException):
    """The process ends here."""


def target(aws: FakeAws, place: Path, stack: str = "shop-dev") -> Target:
    return Target(aws=aws, outputs=OUTPUTS, stack=stack, account="1", journals=JournalFiles(place))


@contextlib.contextmanager
def mover(
    aws: FakeAws, place: Path, *, filters: Filters = ALL, edited: Mapping[str, str] | None = None, **options: Any
) -> Iterator[Mover]:
    where = target(aws, place)
    with journal.Writer(where, "redrive") as writer:
        selection = Selection(filters=filters, rate=None, edited=edited or {})
        moving = Mover(where, selection, writer, stop=Stop(), **{"clock": aws.clock, **options})
        try:
            yield moving
        finally:
            moving.release()


def redrive(aws: FakeAws, place: Path, *, filters: Filters = ALL, limit: int | None = None) -> list[Moved]:
    with mover(aws, place, filters=filters) as moving:
        return list(moving.move(limit))


def undone(aws: FakeAws, place: Path) -> undo.Undone:
    where = target(aws, place)
    return undo.undo(where, undo.load(where, None), stop=Stop(), clock=aws.clock)


def filled(count: int, kind: str = "order.created") -> FakeAws:
    aws = FakeAws()
    for n in range(count):
        aws.put(DLQ, event(n, kind), mine="kept", rtp_error_type="E", rtp_error_message="m")
    return aws


def test_every_message_is_redriven_with_its_body_and_attributes(tmp_path: Path) -> None:
    aws = filled(57)

    moved = redrive(aws, tmp_path)

    assert aws.bodies(DLQ) == []
    assert sorted(aws.bodies(QUEUE)) == sorted(event(n) for n in range(57))
    assert len(moved) == 57
    assert not any(m.error or m.is_in_both for m in moved)
    sent = {k: v["StringValue"] for k, v in aws.queues[QUEUE][0].attributes.items()}
    assert sent["mine"] == "kept"
    assert sent["rtp_source"] == "redrive"
    assert "rtp_error_type" not in sent


def test_messages_that_do_not_match_stay_and_are_visible(tmp_path: Path) -> None:
    aws = filled(20)
    for n in range(100, 120):
        aws.put(DLQ, event(n, "other"))

    moved = redrive(aws, tmp_path, filters=Filters(types=("other",)))

    assert {m.message.type for m in moved} == {"other"}
    assert len(aws.bodies(QUEUE)) == 20
    assert aws.visible(DLQ) == len(aws.bodies(DLQ)) == 20


def test_a_limit_is_respected(tmp_path: Path) -> None:
    aws = filled(50)

    assert len(redrive(aws, tmp_path, limit=7)) == 7
    assert (len(aws.bodies(QUEUE)), aws.visible(DLQ)) == (7, 43)


def test_one_message_can_be_moved_before_the_rest(tmp_path: Path) -> None:
    aws = filled(25)
    with mover(aws, tmp_path) as moving:
        first = list(moving.move(1))
        assert (len(first), len(aws.bodies(QUEUE))) == (1, 1)
        rest = list(moving.move())

    assert len({m.message.message_id for m in first + rest}) == 25
    assert aws.bodies(DLQ) == []


@pytest.mark.parametrize("uncounted", [5, 57])
def test_messages_that_sqs_does_not_count_yet_are_redriven_and_purged_too(tmp_path: Path, uncounted: int) -> None:
    aws = filled(57)
    aws.uncounted = uncounted
    assert len(redrive(aws, tmp_path)) == 57
    aws = filled(57)
    aws.uncounted = uncounted
    assert purged(aws, tmp_path).deleted == 57


def test_a_run_ends_although_other_events_die_as_fast(tmp_path: Path) -> None:
    # Given ten new deaths for each ten that are put back
    aws = filled(12)

    def dies(operation: str, when: str) -> None:
        if (operation, when) == ("send_message_batch", "after"):
            for n in range(100, 110):
                aws.put(DLQ, event(n))
                aws.queues[DLQ][-1].sent_at += 60_000

    aws.fault = dies
    # Then the run ends all the same, with the round in which it has met as many as there were
    assert 12 <= len(redrive(aws, tmp_path)) <= 20


def test_a_filter_reads_all_of_a_deep_queue_although_the_first_messages_reappear(tmp_path: Path) -> None:
    # Given messages that are hidden for 15 s, and a second that passes with each receive of ten
    aws = filled(400)
    aws.put(DLQ, event(999, "other"))

    def slow(operation: str, when: str) -> None:
        aws.now += (operation, when) == ("receive_message", "after")

    aws.fault = slow
    # When a filter matches only the last one / Then it is found
    assert [m.message.id for m in redrive(aws, tmp_path, filters=Filters(types=("other",)))] == ["e999"]
    aws.put(DLQ, event(999, "other"))
    assert purged(aws, tmp_path, filters=Filters(types=("other",))).deleted == 1
    assert aws.visible(DLQ) == 400


def test_a_duplicate_does_not_hide_the_rest_for_longer(tmp_path: Path) -> None:
    # Given a queue that gives out some messages again at once, as standard queues may
    aws, again = filled(400), set[str]()

    def shown_again(operation: str, when: str) -> None:
        if (operation, when) == ("receive_message", "after"):
            hidden = [m for m in aws.queues[DLQ] if m.hidden_until > aws.now and m.message_id not in again]
            assert all(m.hidden_until <= aws.now + peek.hidden_s(400) for m in hidden)
            for message in hidden[:1]:
                message.hidden_until = aws.now
                again.add(message.message_id)

    aws.fault = shown_again
    # Then a message whose answer is lost is hidden no longer than without them
    assert purged(aws, tmp_path, filters=Filters(types=("other",))).deleted == 0
    assert len(again) > 10 and aws.visible(DLQ) == 400


def test_a_message_that_sqs_delivers_again_after_its_deletion_is_deleted_again(tmp_path: Path) -> None:
    # Given a server of SQS that does not delete the first messages
    aws, kept = filled(12), list[Held]()

    def delete(operation: str, when: str) -> None:
        if operation == "delete_message_batch" and when == "before" and not kept:
            kept.extend(replace(m) for m in aws.queues[DLQ][:3])
        if operation == "delete_message_batch" and when == "after" and len(kept) == 3:
            aws.queues[DLQ] += [replace(m, hidden_until=aws.now) for m in kept]
            kept.append(kept[0])

    aws.fault = delete
    # When the queue is purged / Then they are deleted when they appear again, and are counted once
    assert purged(aws, tmp_path).deleted == 12
    assert len(kept) == 4 and aws.bodies(DLQ) == []


def test_a_missing_id_is_reported(tmp_path: Path) -> None:
    assert purged(filled(3), tmp_path, filters=Filters(ids=("nope",))).missing == ["nope"]
    assert purged(filled(3), tmp_path, filters=Filters(ids=("nope",)), limit=1).missing == []


def test_a_second_pass_over_a_queue_that_has_ended_ends_too(tmp_path: Path) -> None:
    aws = filled(3)
    with mover(aws, tmp_path, filters=Filters(ids=("nope",))) as moving:
        assert list(moving.move(1)) == []
        aws.calls.clear()
        assert list(moving.move()) == []
    assert aws.calls["get_queue_attributes"] <= 3


def test_a_message_that_sqs_refuses_stays_and_is_reported(tmp_path: Path) -> None:
    aws = filled(12)
    aws.refused = {event(3)}

    moved = redrive(aws, tmp_path)

    assert [m.error for m in moved if m.error] == ["InvalidMessageContents: not today"]
    assert aws.bodies(DLQ) == [event(3)]
    assert aws.visible(DLQ) == 1


def test_a_pass_ends_although_everything_dies_again_at_once(tmp_path: Path) -> None:
    aws = filled(40)

    def dies(operation: str, when: str) -> None:
        if operation == "send_message_batch" and when == "after":
            aws.queues[DLQ] += aws.queues[QUEUE]
            aws.queues[QUEUE].clear()

    aws.fault = dies
    moved = redrive(aws, tmp_path)

    assert len({m.message.message_id for m in moved}) == len(moved) <= 40
    assert len(aws.bodies(DLQ)) == 40
    assert aws.visible(DLQ) == 40


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dice=st.lists(st.booleans(), min_size=3).filter(any), count=st.integers(1, 40))
def test_faults_of_sqs_lose_nothing(tmp_path: Path, dice: list[bool], count: int) -> None:
    aws, falls = filled(count), itertools.cycle(dice)

    def fault(operation: str, _when: str) -> None:
        if operation.endswith("batch") and next(falls):
            raise AwsError("not today", service_code="ServiceUnavailable")

    aws.fault = fault
    with contextlib.suppress(AwsError):
        redrive(aws, tmp_path / uuid.uuid4().hex)

    assert set(aws.bodies(DLQ)) | set(aws.bodies(QUEUE)) == {event(n) for n in range(count)}


def test_a_message_that_another_receiver_hides_is_awaited(tmp_path: Path) -> None:
    aws = filled(3)
    aws.queues[DLQ][0].hidden_until = aws.now + 20
    remarks: list[str] = []

    with mover(aws, tmp_path, notify=remarks.append) as moving:
        moved = list(moving.move())

    assert (len(moved), moving.unseen) == (3, 0)
    assert remarks == ["waiting up to 610 s for 1 message hidden by another receiver"]


def test_what_a_killed_slow_redrive_hides_is_waited_for(tmp_path: Path) -> None:
    # Given six of forty messages that a redrive at a slow rate hid for minutes before it was killed
    aws = filled(40)
    for message in aws.queues[DLQ][:6]:
        message.hidden_until = aws.now + 400

    # Then the next redrive moves them too
    moved = redrive(aws, tmp_path)
    assert len(moved) == 40
    # but those that appeared again between their sending and their deletion, while the clock jumped, and that it names
    assert len(aws.bodies(DLQ)) == sum(each.is_in_both for each in moved)


def test_messages_that_stay_hidden_are_reported_as_not_seen(tmp_path: Path) -> None:
    aws = filled(5)
    for message in aws.queues[DLQ][:2]:
        message.hidden_until = aws.now + 40_000

    with mover(aws, tmp_path) as moving:
        assert len(list(moving.move())) == 3
        assert moving.unseen == 2
    done = purged(aws, tmp_path, filters=Filters(ids=("e0",)))
    assert (done.deleted, done.unseen, done.missing) == (0, 2, ["e0"])


def test_no_hidden_message_is_waited_for_once_everything_named_is_found(tmp_path: Path) -> None:
    aws = filled(5)
    aws.queues[DLQ][0].hidden_until = aws.now + 40_000
    began = aws.now

    done = purged(aws, tmp_path, filters=Filters(ids=("e3",)))

    assert (done.deleted, done.unseen) == (1, 0)
    assert aws.now - began < 60


def test_the_end_is_no_single_empty_answer(tmp_path: Path) -> None:
    # Given receives that find nothing although there is something, as SQS's may
    aws, empty = filled(30), itertools.cycle([True, True, False])

    def fault(operation: str, when: str) -> None:
        if (operation, when) == ("receive_message", "before"):
            aws.blind = next(empty)

    aws.fault = fault
    assert purged(aws, tmp_path).deleted == 30


def test_a_queue_with_too_many_messages_in_flight_is_not_at_its_end(tmp_path: Path) -> None:
    # Given SQS's limit of messages in flight, most of them received by this run
    aws = filled(12)
    aws.in_flight_limit = 10

    with mover(aws, tmp_path, filters=Filters(types=("none",))) as moving:
        assert list(moving.move()) == []
        assert moving.unseen == 2
    assert aws.visible(DLQ) == 12


def test_undo_waits_for_what_a_killed_purge_still_hides_and_doubles_nothing(tmp_path: Path) -> None:
    # Given a purge that was killed between its journal and its deletion
    aws = filled(20)

    def fault(operation: str, _when: str) -> None:
        if operation == "delete_message_batch":
            raise Killed

    aws.fault = fault
    with pytest.raises(Killed), contextlib.ExitStack() as stack:
        stack.callback(setattr, aws, "fault", _dead)
        purged(aws, tmp_path)
    aws.items.clear()
    aws.fault = lambda _operation, _when: None
    # When it is undone at once / Then the messages that it hides are not taken for deleted ones
    done = undone(aws, tmp_path)

    assert (done.back, done.unseen) == (0, 0)
    assert sorted(aws.bodies(DLQ)) == sorted(event(n) for n in range(20))


def test_undo_restores_no_message_that_may_still_be_there(tmp_path: Path) -> None:
    aws = filled(5)
    purged_run(aws, tmp_path, deleted=False)
    for message in aws.queues[DLQ][:2]:
        message.hidden_until = aws.now + 40_000

    done = undone(aws, tmp_path)

    assert (done.back, done.unseen) == (0, 2)
    aws.queues[DLQ] = aws.queues[DLQ][2:]
    assert undone(aws, tmp_path).back == 2


def purged_run(aws: FakeAws, place: Path, *, deleted: bool) -> None:
    """The journal of a purge of the whole DLQ that was killed before its first message was deleted, or after all."""
    where = target(aws, place)
    with journal.Writer(where, "purge") as writer:
        messages = [dlq.read(m) for m in queues.receive(aws, DLQ, visibility_s=0)]
        writer.taken(messages)
        if deleted:
            writer.deleted(m.message_id for m in messages)


def _dead(_operation: str, _when: str) -> None:
    """A dead process makes no more calls."""
    raise Killed


def test_edited_events_are_sent_instead(tmp_path: Path) -> None:
    aws = filled(2)
    first = aws.queues[DLQ][0].message_id
    filters = Filters(message_ids=frozenset([first]))
    with mover(aws, tmp_path, filters=filters, edited={first: event(77)}) as moving:
        list(moving.move())

    assert aws.bodies(QUEUE) == [event(77)]
    assert aws.bodies(DLQ) == [event(1)]


def test_characters_that_sqs_does_not_carry_are_escaped_in_edited_events(
    tmp_path: Path,
) -> None:
    aws = filled(1)
    text = '{"id": "e0", "timestamp": 0, "type": "t", "data": {"x": "a\ufffe\uffffb"}}'

    with mover(aws, tmp_path, edited={aws.queues[DLQ][0].message_id: text}) as moving:
        list(moving.move())

    escaped = text.replace("\ufffe\uffff", r"\ufffe\uffff")
    assert aws.bodies(QUEUE) == [escaped]
    assert json.loads(escaped) == json.loads(text)
    assert undone(aws, tmp_path).back == 1
    assert aws.bodies(DLQ) in ([escaped], [event(0)])


def test_only_the_owner_can_read_the_journal_and_it_records_every_step(tmp_path: Path) -> None:
    aws = filled(3)
    place = tmp_path / "dlq" / "dev"

    redrive(aws, place)

    (file,) = place.glob("*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    assert place.stat().st_mode & 0o777 == 0o700
    run = journal.load(JournalFiles(place), JournalFiles(place).runs()[-1])
    assert (run.what, run.stack, run.account, len(run.entries)) == ("redrive", "shop-dev", "1", 3)
    assert all(e.sent_id and e.deleted and not e.restored for e in run.entries.values())


def test_a_journal_that_a_kill_truncated_is_read_up_to_there(tmp_path: Path) -> None:
    redrive(filled(3), tmp_path)
    (file,) = tmp_path.glob("*.jsonl")
    content = file.read_bytes()

    for end in range(0, len(content), 7):
        file.write_bytes(content[:end])
        try:
            entries = journal.load(JournalFiles(tmp_path), JournalFiles(tmp_path).runs()[-1]).entries
        except NotFoundError:
            entries = {}
        assert len(entries) <= 3

    file.write_bytes(content[:-10])
    store = JournalFiles(tmp_path)
    run = journal.load(store, store.runs()[-1])
    restoring = journal.Restoring(store, run)
    restoring.done(run.entries.values())
    restoring.flush()
    assert all(e.restored for e in journal.load(store, store.runs()[-1]).entries.values())


def test_nothing_is_moved_where_the_journal_cannot_be_written(tmp_path: Path) -> None:
    aws = filled(3)
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="nothing was changed"):
        redrive(aws, tmp_path / "file" / "dlq")

    assert aws.bodies(QUEUE) == []
    assert aws.visible(DLQ) == 3


def test_undo_restores_what_still_waits_and_leaves_other_events_alone(tmp_path: Path) -> None:
    aws = filled(4)
    aws.put(QUEUE, event(50))
    redrive(aws, tmp_path)
    aws.queues[QUEUE] = [m for m in aws.queues[QUEUE] if m.body != event(0)]  # the worker took one
    aws.record("e0", 0, status="processed")

    done = undone(aws, tmp_path)

    assert (done.back, done.processed, done.dead, done.earlier, done.unseen) == (3, 1, 0, 0, 0)
    assert aws.bodies(QUEUE) == [event(50)]
    assert aws.visible(QUEUE) == 1
    assert sorted(aws.bodies(DLQ)) == sorted(event(n) for n in (1, 2, 3))
    again = {k: v["StringValue"] for k, v in aws.queues[DLQ][0].attributes.items()}
    assert again == {"mine": "kept", "rtp_error_type": "E", "rtp_error_message": "m"}


def test_undo_costs_waiting_events_no_attempt_when_nothing_can_be_restored(tmp_path: Path) -> None:
    # Given a redrive that was processed to the last message, and another event that waits for its next attempt
    aws = filled(2)
    redrive(aws, tmp_path)
    aws.queues[QUEUE].clear()
    for number in range(2):
        aws.record(f"e{number}", number, status="processed")
    aws.put(QUEUE, event(50))

    done = undone(aws, tmp_path)

    assert (done.back, done.processed) == (0, 2)
    assert [m.receives for m in aws.queues[QUEUE]] == [0]


def test_undoing_twice_restores_nothing_twice(tmp_path: Path) -> None:
    aws = filled(3)
    redrive(aws, tmp_path)

    undone(aws, tmp_path)
    done = undone(aws, tmp_path)

    assert (done.back, done.earlier, done.unseen, len(aws.bodies(DLQ))) == (0, 3, 0, 3)


def test_undo_is_refused_on_another_stack(tmp_path: Path) -> None:
    aws = filled(1)
    redrive(aws, tmp_path)

    with pytest.raises(RefusedError, match="not on shop-prod"):
        undo.load(target(aws, tmp_path, "shop-prod"), None)


def test_undo_without_a_journal_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no redrive or purge"):
        undo.load(target(filled(0), tmp_path / "none"), None)
    redrive(filled(1), tmp_path)
    with pytest.raises(NotFoundError, match="no run x"):
        journal.load(JournalFiles(tmp_path), "x")


def purged(aws: FakeAws, place: Path, *, filters: Filters = ALL, limit: int | None = None) -> purge.Purged:
    request = PurgeRequest(filters=filters, limit=limit)
    return result(purge.purge(target(aws, place), request, stop=Stop(), clock=aws.clock))


def test_a_purge_deletes_what_matches_and_can_be_undone(tmp_path: Path) -> None:
    aws = filled(23)
    aws.put(DLQ, event(99, "other"))

    done = purged(aws, tmp_path, filters=Filters(types=("order.created",)))

    assert (done.deleted, done.kept) == (23, 0)
    assert aws.bodies(DLQ) == [event(99, "other")]
    assert aws.visible(DLQ) == 1
    assert undone(aws, tmp_path).back == 23
    assert sorted(aws.bodies(DLQ)) == sorted([event(99, "other"), *(event(n) for n in range(23))])


def test_every_redriven_message_names_the_run(tmp_path: Path) -> None:
    aws = filled(2)
    before = [m.message_id for m in aws.queues[DLQ]]

    redrive(aws, tmp_path)

    (file,) = tmp_path.glob("*.jsonl")
    marks = [wire.redriven(m.attributes[wire.REDRIVE]["StringValue"]) for m in aws.queues[QUEUE]]
    assert marks == [(file.stem.partition("-")[2], message_id) for message_id in before]
    assert json.loads(file.read_text().splitlines()[1])["what"] == "redrive"


@pytest.mark.parametrize("count", [200, 1_000])
def test_a_long_dlq_costs_no_more_calls_a_message_than_batches_of_ten(tmp_path: Path, count: int) -> None:
    # Given messages of which the records note each
    aws = filled(count)
    for n in range(count):
        aws.record(f"e{n}", n, status="dead", dlq_message={"request_id": f"m{n + 1}", "sent_at": 1, "digest": "d"})
    # When
    assert len(redrive(aws, tmp_path)) == count
    # Then
    tenth = count // 10
    assert aws.calls["send_message_batch"] <= tenth + 8
    assert aws.calls["delete_message_batch"] <= tenth + 8
    assert aws.calls["receive_message"] <= tenth + 32
    assert aws.calls["batch_execute_statement"] <= tenth + 8
    assert aws.calls["batch_get_item"] <= tenth // 4 + 8
    assert aws.calls["update_item"] == 0
    assert all("dlq_message" not in item for item in aws.items.values())


@pytest.mark.parametrize("code", ["AccessDeniedException", "ValidationException"])
def test_notes_are_removed_one_by_one_where_statements_are_refused(tmp_path: Path, code: str) -> None:
    aws = filled(30)
    for n in range(30):
        aws.record(f"e{n}", n, status="dead", dlq_message={"request_id": f"m{n + 1}", "sent_at": 1, "digest": "d"})

    def fault(operation: str, _when: str) -> None:
        if operation == "batch_execute_statement":
            raise AwsError("no", service_code=code)

    aws.fault = fault
    redrive(aws, tmp_path)
    assert not any("dlq_message" in item for item in aws.items.values())
