"""Which archived events a replay selects, and how they are queued again."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import NotFoundError, RefusedError, RtpError, UsageError
from rtp.ops.events import archive, replay, replay_journal
from rtp.ops.events.identity import uuid7
from rtp.ops.events.planned import Planned
from rtp.ops.work.pool import Stop
from rtp.runtime.event import Identity, parse
from rtp.text import times
from tests.unit.ops.fakes import BUCKET, OUTPUTS, QUEUE, FakeAws, MemoryJournals, event, result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rtp.ops.events.replay_journal import ReplayJournal

NOON = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1000)
HOUR = 3_600_000
OWNER = ("shop-dev", "1")


class Killed(BaseException):
    """The process ends here."""


def raw(aws: FakeAws, at: int, bodies: Iterable[str], *, name: str = "batch", **more: Any) -> str:
    """An archived object, as the worker writes it."""
    lines = []
    for body in bodies:
        found = json.loads(body)
        known = {"id": found.get("id", "req-9"), "timestamp": found.get("timestamp", 9), **more}
        lines.append(json.dumps({**known, "source": "api", "received_at": at, "body": body}))
    key = f"raw/{datetime.fromtimestamp(at / 1000, UTC):%Y/%m/%d/%H}/{name}.ndjson.gz"
    aws.objects[key] = gzip.compress("".join(f"{line}\n" for line in lines).encode())
    return key


def plan(aws: FakeAws, **options: Any) -> list[Planned]:
    request = replay.ReplayRequest(**{"since": NOON - HOUR, "until": NOON + HOUR, **options})
    return result(replay.plan(aws, OUTPUTS, request))


def replayed(aws: FakeAws, journal: ReplayJournal | None = None) -> replay.Replay:
    journal = journal or replay_journal.begin(MemoryJournals(), OWNER, plan(aws))
    return result(replay.replay(aws, OUTPUTS, journal, rate=None, stop=Stop()))


def test_the_archive_is_read_between_two_times_to_the_millisecond() -> None:
    aws = FakeAws()
    for n, offset in enumerate((-2 * HOUR, -HOUR - 1, -HOUR, 0, HOUR, HOUR + 1, 30 * HOUR)):
        raw(aws, NOON + offset, [event(n)], name=f"o{n}")

    found = [e.id for e in archive.between(aws, BUCKET, NOON - HOUR, NOON + HOUR)]

    assert found == ["e2", "e3", "e4"]
    assert aws.calls["get_object"] == 4  # hours before and after are not even read


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("recorded", [0, 1])
def test_of_two_contents_with_one_identity_the_one_that_the_record_is_of_is_replayed(
    order: tuple[int, int], recorded: int
) -> None:
    # Given an event and one in conflict with it, whose text was archived before it was refused
    aws = FakeAws()
    texts = [event(1), event(1, version=1)]
    keys = {n: raw(aws, NOON + at, [texts[n]], name=f"o{at}") for at, n in enumerate(order)}
    digests = [parse(text, Identity("", 0)).digest for text in texts]
    aws.items["e1", "1"] = {
        "id": {"S": "e1"},
        "timestamp": {"N": "1"},
        "status": {"S": "processed"},
        "digest": {"S": digests[recorded]},
    }

    assert [planned.raw_key for planned in plan(aws)] == [f"{keys[recorded]}#0"]


def test_a_line_is_found_by_its_key() -> None:
    aws = FakeAws()
    key = raw(aws, NOON, [event(1), event(2, "other")])

    found = archive.at(aws, BUCKET, f"{key}#1")

    assert found is not None
    assert (found.id, found.timestamp, found.type, found.body) == ("e2", 2, "other", event(2, "other"))
    for missing in (f"{key}#7", "raw/none#0", "nonsense", ""):
        assert archive.at(aws, BUCKET, missing) is None


def test_invalid_lines_are_skipped_and_a_damaged_object_is_named() -> None:
    aws = FakeAws()
    aws.objects["raw/a.ndjson.gz"] = gzip.compress(b'\n{"id": 1}\nnot json\n[]\n')
    aws.objects["raw/b.ndjson.gz"] = b"damaged"

    assert archive.read(aws, BUCKET, "raw/a.ndjson.gz") == []
    with pytest.raises(RtpError, match=r"raw/b.ndjson.gz cannot be read: it is damaged"):
        archive.read(aws, BUCKET, "raw/b.ndjson.gz")


def test_an_event_is_selected_once_however_often_it_was_delivered() -> None:
    aws = FakeAws()
    raw(aws, NOON - 5, [event(1), event(2)], name="a")
    last = raw(aws, NOON, [event(1), event(3, "other")], name="b")
    aws.record("e1", 1, status="dead")
    aws.record("e2", 2, status="processed")

    found = plan(aws)

    assert {(e.id, e.status) for e in found} == {("e1", "dead"), ("e2", "processed"), ("e3", "missing")}
    assert next(e.raw_key for e in found if e.id == "e1") == f"{last}#0"
    assert [e.id for e in plan(aws, types=("other",))] == ["e3"]
    assert [e.id for e in plan(aws, statuses=("dead", "missing"))] == ["e1", "e3"]
    with pytest.raises(UsageError, match="is not a status"):
        plan(aws, statuses=("lost",))


def test_events_of_a_drill_are_not_replayed() -> None:
    aws = FakeAws()
    raw(aws, NOON, [event(1), event(2, "rtp.drill")])
    aws.record("e2", 2, status="dead")

    assert [e.id for e in plan(aws)] == ["e1"]


def test_an_event_is_found_by_its_record_or_by_the_time_in_its_id() -> None:
    aws = FakeAws()
    created = uuid7(NOON)
    key = raw(aws, NOON, [event(1), json.dumps({"id": created, "type": "a", "data": {}})])
    aws.record("e1", 1, status="dead", raw_key=f"{key}#0")

    assert [e.id for e in plan(aws, ids=("e1", created), since=None)] == ["e1", created]
    with pytest.raises(NotFoundError, match="e7 is not in the archive"):
        plan(aws, ids=("e7",), since=None)


def test_events_are_queued_unchanged_with_the_name_of_the_run() -> None:
    aws = FakeAws()
    bodies = [event(n) for n in range(23)] + ['{"type": "a", "data": {"n": 1.10}}']
    raw(aws, NOON, bodies)

    done = replayed(aws)

    assert sorted(aws.bodies(QUEUE)) == sorted(bodies)
    assert (done.replayed, done.failed) == (24, [])
    sent = {k: v["StringValue"] for k, v in aws.queues[QUEUE][-1].attributes.items()}
    assert (sent["rtp_source"], sent["rtp_replay"]) == ("replay", done.run)
    nameless = next(m for m in aws.queues[QUEUE] if "1.10" in m.body)
    assert nameless.attributes["rtp_request_id"]["StringValue"] == "req-9"
    assert nameless.attributes["rtp_request_time"]["StringValue"] == "9"
    assert aws.calls["get_object"] == 2  # once to plan, once to send, however many lines


def test_characters_that_sqs_does_not_carry_are_escaped_when_an_event_is_replayed() -> None:
    aws = FakeAws()
    raw(aws, NOON, ['{"id": "e1", "timestamp": 1, "type": "a", "data": {"x": "\uffffb", "n": 1.10}}'])

    replayed(aws)

    assert aws.bodies(QUEUE) == [r'{"id": "e1", "timestamp": 1, "type": "a", "data": {"x": "\uffffb", "n": 1.10}}']


def test_events_that_the_queue_refuses_are_reported() -> None:
    aws = FakeAws(refused={event(2)})
    raw(aws, NOON, [event(1), event(2)])

    done = replayed(aws)

    assert (done.replayed, done.failed) == (1, [replay.Failure("e2", "InvalidMessageContents: not today")])


def test_a_replay_that_is_killed_at_any_step_is_continued_under_its_name() -> None:
    def world() -> tuple[FakeAws, MemoryJournals, ReplayJournal]:
        aws, store = FakeAws(), MemoryJournals()
        raw(aws, NOON, [event(n) for n in range(25)])
        return aws, store, replay_journal.begin(store, OWNER, plan(aws))

    kill_at: int | None = None
    steps = 0

    def step(_operation: str, _when: str) -> None:
        nonlocal steps
        steps += 1
        if kill_at is not None and steps >= kill_at:
            raise Killed

    aws, store, journal = world()
    aws.fault = store.fault = step
    replayed(aws, journal)
    for kill_at in range(1, steps + 1):
        aws, store, journal = world()
        steps, aws.fault, store.fault = 0, step, step
        with contextlib.suppress(Killed):
            replayed(aws, journal)
        aws.fault = store.fault = lambda _operation, _when: None

        if (rest := replay_journal.interrupted(store, OWNER)) is not None:
            assert rest.run == journal.run
            replayed(aws, replay_journal.load(store, OWNER, rest.run))

        # Then each event is queued; twice only if it was in a batch that the kill cut off, and under the same name
        queued = Counter(aws.bodies(QUEUE))
        assert set(queued) == {event(n) for n in range(25)}, kill_at
        runs = {m.attributes["rtp_replay"]["StringValue"] for m in aws.queues[QUEUE]}
        assert runs == {journal.run}
        assert replay_journal.interrupted(store, OWNER) is None


def test_a_replay_from_before_the_engine_s_queue_went_back_to_an_earlier_save_is_queued_whole() -> None:
    aws, store = FakeAws(), MemoryJournals()
    raw(aws, NOON, [event(n) for n in range(3)])
    journal = replay_journal.begin(store, OWNER, plan(aws))
    journal.queued(journal.planned[:2])

    assert len(replay_journal.load(store, OWNER, journal.run).planned) == 1
    assert len(replay_journal.load(store, OWNER, journal.run, restored_ms=times.now_ms()).planned) == 3


def test_a_replay_of_another_stack_is_not_continued() -> None:
    store = MemoryJournals()
    journal = replay_journal.begin(store, OWNER, [Planned("e1", 1, "t", "dead", "raw/x#0")])

    with pytest.raises(RefusedError, match="not on shop-prod"):
        replay_journal.load(store, ("shop-prod", "1"), journal.run)
    with pytest.raises(NotFoundError, match="no replay x"):
        replay_journal.load(store, OWNER, "x")
    assert replay_journal.interrupted(store, ("shop-prod", "1")) is None
