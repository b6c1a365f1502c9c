"""A clean-up after a kill finds what the index does not show yet, waits for the rest, and says what it did not see."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config.environments import resolve
from rtp.errors import AwsError
from rtp.ops import run_marks
from rtp.ops.drill import begun, leftovers
from rtp.ops.drill import run as run_of
from rtp.ops.drill.begun import Begun
from rtp.ops.drill.faults import Fault
from rtp.ops.drill.report import Removed
from rtp.ops.work.pool import Stop
from rtp.runtime import wire
from rtp.text import times
from tests.unit.ops.fakes import DLQ, QUEUE, FakeAws, MemoryJournals, result
from tests.unit.ops.test_drill import Pipeline, target

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.drill.leftovers import CleanedUp

RUN, COUNT = "0a1b2c3d", 6
WEEK_MS = 7 * 86_400_000


class Late(FakeAws):
    """A table whose index shows nothing yet, and a queue whose counts may lag. at: what happens at a time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at: dict[float, Any] = {}

    def call(self, service: str, operation: str, **params: Any) -> dict[str, Any]:
        for moment in [m for m in self.at if m <= self.now]:
            self.at.pop(moment)()
        return super().call(service, operation, **params)

    def _query(self, ExpressionAttributeValues: dict[str, Any], **params: Any) -> dict[str, Any]:
        return {"Items": []} if "IndexName" in params else super()._query(ExpressionAttributeValues, **params)

    def _delete_item(self, Key: dict[str, Any], ExpressionAttributeValues: dict[str, Any], **more: Any) -> Any:
        if ":type" not in ExpressionAttributeValues:
            return super()._delete_item(Key, ExpressionAttributeValues, **more)
        found = self.items.get((Key["id"]["S"], Key["timestamp"]["N"]))
        if found is None or found["type"] != {"S": wire.DRILL}:
            raise AwsError("no such item", service_code="ConditionalCheckFailedException")
        del self.items[Key["id"]["S"], Key["timestamp"]["N"]]
        return {}

    def _delete_objects(self, Delete: dict[str, Any], **_: Any) -> dict[str, Any]:
        for each in Delete["Objects"]:
            del self.objects[each["Key"]]
        return {}


class Shown(Late):
    """A table whose index shows everything."""

    def _query(self, ExpressionAttributeValues: dict[str, Any], **params: Any) -> dict[str, Any]:
        if "IndexName" not in params:
            return super()._query(ExpressionAttributeValues, **params)
        status, _, shard = ExpressionAttributeValues[":s"]["S"].partition("#")
        kind = ExpressionAttributeValues[":k"]
        items = [item for item in self.items.values() if (item["status"], item["type"]) == ({"S": status}, kind)]
        return {"Items": items if shard == "0" else []}


class World:
    """A drill that was killed, and what it left."""

    def __init__(self, tmp_path: Path, *, began_ms: int = 0, aws: Late | None = None) -> None:
        self.aws, self.drills = aws or Late(), MemoryJournals()
        self.target, self.environment = target(self.aws), resolve(cwd=tmp_path, environ={})
        self.since_ms = began_ms or times.now_ms()
        self.drill = begun.record(self.drills, self.target, Begun(RUN, self.since_ms, COUNT))

    def record(self, number: int, status: str, **more: Any) -> None:
        fields = {"type": wire.DRILL, "status": status, "attempt_count": 2, **more}
        self.aws.record(f"drill-{RUN}-{number:05}", self.since_ms, **fields)

    def message(self, number: int, url: str = DLQ) -> None:
        event = {"id": f"drill-{RUN}-{number:05}", "timestamp": self.since_ms, "type": wire.DRILL, "data": {"run": RUN}}
        self.aws.put(url, json.dumps(event), **{wire.DRILL_RUN: RUN})

    def archived(self, name: str, *events: tuple[str, int]) -> str:
        """Write an object of the archive with a line for each of these events. Returns its key."""
        key = f"raw/{datetime.now(UTC):%Y/%m/%d/%H}/{name}.ndjson.gz"
        lines = "".join(f'{{"id": "{event_id}", "timestamp": {at}}}\n' for event_id, at in events)
        self.aws.objects[key] = gzip.compress(lines.encode())
        return key

    def cleaned(self, since_ms: int | None = None) -> CleanedUp:
        since = times.now_ms() - WEEK_MS if since_ms is None else since_ms
        steps = leftovers.clean_up(
            self.target, self.environment, drills=self.drills, since_ms=since, stop=Stop(), clock=self.aws.clock
        )
        return result(steps)

    @property
    def is_over(self) -> bool:
        return run_marks.has_ended(self.drills.marks().get(self.drill.name, set()))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_records_that_the_index_does_not_show_yet_are_removed(world: World) -> None:
    world.aws.record("order", 1, type="order.created", status="dead")
    for number in range(COUNT):
        world.record(number, "dead", attempted_at=1)
        world.message(number)
    found = world.cleaned()
    assert (found.runs, found.removed.records, found.removed.messages) == ([RUN], COUNT, COUNT)
    assert (found.waiting, found.unseen, found.notes) == (0, 0, [])
    assert world.aws.items.keys() == {("order", "1")} and world.aws.bodies(DLQ) == []
    # And once more there is nothing
    assert world.is_over and world.cleaned().runs == []


def test_events_that_end_soon_are_waited_for(world: World) -> None:
    for number in range(COUNT):
        world.record(number, "processing", lease_until=times.now_ms() + 3_600_000)

    def end() -> None:
        for number in range(COUNT):
            world.record(number, "processed")

    world.aws.at[world.aws.now + 20] = end
    found = world.cleaned()
    assert (found.removed.records, found.waiting) == (COUNT, 0) and world.is_over


def test_events_that_do_not_end_stay_and_the_drill_is_looked_at_again(world: World) -> None:
    world.record(0, "processed")
    for number in range(1, COUNT):
        world.record(number, "failed")
    found = world.cleaned()
    assert (found.removed.records, found.waiting, found.notes) == (1, COUNT - 1, []) and not world.is_over
    assert len(world.aws.items) == COUNT - 1


def test_a_message_that_sqs_has_not_moved_yet_is_waited_for(world: World) -> None:
    for number in range(COUNT):
        world.record(number, "dead", attempted_at=times.now_ms())
    for number in range(COUNT - 1):
        world.message(number)
    world.aws.at[world.aws.now + 25] = lambda: world.message(COUNT - 1)
    found = world.cleaned()
    assert (found.removed.messages, found.unseen) == (COUNT, 0) and world.aws.bodies(DLQ) == []


def test_a_message_that_does_not_come_is_said_and_the_clean_up_has_to_be_repeated(world: World) -> None:
    world.record(0, "dead", attempted_at=times.now_ms())
    found = world.cleaned()
    assert (found.removed.messages, found.unseen) == (0, 1) and not world.is_over


def test_a_message_that_another_receiver_hides_is_said(world: World) -> None:
    world.record(0, "dead", attempted_at=1)
    world.message(0)
    world.aws.queues[DLQ][0].hidden_until = world.aws.now + 100_000
    found = world.cleaned()
    assert (found.removed.messages, found.unseen) == (0, 1) and not world.is_over


def test_events_without_a_record_may_be_in_the_queue_while_it_has_messages(world: World) -> None:
    for number in range(2):
        world.record(number, "processed")
    world.message(2, QUEUE)
    found = world.cleaned()
    assert (found.removed.records, found.unseen) == (2, COUNT - 2) and not world.is_over
    # And once it is empty they were never sent
    world.aws.queues[QUEUE].clear()
    assert world.cleaned().unseen == 0 and world.is_over


def test_an_event_without_a_record_whose_record_comes_is_removed_too(world: World) -> None:
    world.message(0, QUEUE)

    def received() -> None:
        world.aws.queues[QUEUE].clear()
        world.record(0, "processed")

    world.aws.at[world.aws.now + 10] = received
    found = world.cleaned()
    assert (found.runs, found.removed.records, found.unseen) == ([RUN], 1, 0)


def test_a_record_that_a_late_copy_wrote_again_is_removed_for_an_hour(tmp_path: Path) -> None:
    for age_ms, removed in ((3_500_000, 1), (3_700_000, 0)):
        world = World(tmp_path, began_ms=times.now_ms() - age_ms)
        begun.ended(world.drills, world.drill)
        world.record(3, "processed")
        assert world.cleaned().removed.records == removed


@pytest.mark.parametrize(("age_ms", "removed"), [(WEEK_MS - 60_000, 1), (WEEK_MS + 60_000, 0)])
def test_older_drills_than_asked_for_stay(tmp_path: Path, age_ms: int, removed: int) -> None:
    world = World(tmp_path, began_ms=times.now_ms() - age_ms)
    world.record(0, "processed")
    assert world.cleaned().removed.records == removed


def test_the_drill_of_another_stack_is_left_alone(world: World) -> None:
    world.record(0, "processed")
    (name,) = world.drills.runs()
    world.drills.journals[name] = world.drills.journals[name].replace(b"shop-local", b"shop-other")
    assert world.cleaned().runs == [] and world.aws.items


def test_what_a_client_sent_as_if_it_were_a_drill_s_stays(tmp_path: Path) -> None:
    # Given an event of the reserved type by POST /events, with the id of a drill's, which was refused; and an order
    # with the same id, alone in its object
    world, forged = World(tmp_path, aws=Shown()), f"drill-{'ab' * 4}-00001"
    at = world.since_ms - WEEK_MS + 60_000
    error = {"type": "InvalidEvent", "message": "$.type: rtp.drill is reserved for `rtp drill`"}
    world.aws.record(forged, at, type=wire.DRILL, status="dead", attempt_count=1, error=error)
    world.aws.put(DLQ, json.dumps({"id": forged, "timestamp": at, "type": wire.DRILL, "data": {"run": "ab" * 4}}))
    world.aws.record(forged, at + 1, type="order.created", status="processed")
    key = world.archived("order", (forged, at + 1))
    # When / Then
    found = world.cleaned()
    assert (found.runs, found.removed, found.notes) == ([], Removed(), [])
    assert len(world.aws.items) == 2 and len(world.aws.bodies(DLQ)) == 1 and key in world.aws.objects
    assert world.aws.calls["list_objects_v2"] == 0  # a time that a client chose decides how many hours are looked at


def test_a_drill_that_the_index_alone_knows_is_removed(tmp_path: Path) -> None:
    world = World(tmp_path, aws=Shown())
    world.drills.journals.clear()  # an older rtp recorded none
    world.record(0, "dead", error={"type": "DrillError", "message": "the drill lets each attempt fail"})
    world.message(0)
    found = world.cleaned()
    assert (found.runs, found.removed.records, found.removed.messages) == ([RUN], 1, 1)


def test_an_object_of_another_event_under_a_drill_s_id_stays(world: World) -> None:
    world.record(0, "processed")
    own, another = (f"drill-{RUN}-00000", world.since_ms), (f"drill-{RUN}-00000", world.since_ms + 1)
    of_the_drill, of_both, of_another = (
        world.archived(name, *events) for name, events in (("own", [own]), ("both", [own, another]), ("an", [another]))
    )
    found = world.cleaned()
    assert (found.removed.objects, found.removed.shared_objects) == (1, 1)
    assert world.aws.objects.keys() == {of_both, of_another} and of_the_drill not in world.aws.objects


@pytest.mark.parametrize(
    "head", [b"[]", b'{"step": 1}', b'{"stack": "shop-local", "account": "1", "started": -1}'], ids=str
)
def test_a_record_of_a_drill_that_rtp_did_not_write_is_named(world: World, head: bytes) -> None:
    world.record(0, "processed")
    name = "20260131T120000Z-drill-ffffffff"
    world.drills.begin(name, b"\n" + head + b"\n", durable=True)
    world.drills.begin("20260131T120000Z-purge-ffffff", b"\n[]\n", durable=True)  # the backup of messages
    found = world.cleaned()
    assert found.removed.records == 1 and len(found.notes) == 1 and name in found.notes[0]


def test_a_drill_is_recorded_before_its_first_message_and_ends_with_nothing_left(tmp_path: Path) -> None:
    aws, drills = Pipeline(), MemoryJournals()
    recorded: list[list[str]] = []

    def fault(operation: str, when: str) -> None:
        if operation == "send_message_batch" and when == "before":
            recorded.append(drills.runs())

    aws.fault = fault
    request = run_of.DrillRequest(fault=Fault.FLOOD, count=3, timeout_s=60)
    environment = resolve(cwd=tmp_path, environ={})
    done = result(run_of.drill(target(aws), environment, request, drills=drills, stop=Stop(), clock=aws.clock))
    (name,) = recorded[0]
    assert name.endswith(f"-drill-{done.run}") and run_marks.has_ended(drills.marks()[name])
    assert begun.left(drills, target(aws), since_ms=0)[0][0].is_over
    assert any("late copy" in text for text in done.stays)
    assert any("in rtp's own bucket" in text for text in done.stays)


def test_a_drill_whose_clean_up_was_cut_is_not_over(tmp_path: Path) -> None:
    aws, drills = Pipeline(), MemoryJournals()

    def fault(operation: str, _when: str) -> None:
        if operation == "list_objects_v2":
            raise AwsError("denied", service_code="AccessDeniedException")

    aws.fault = fault
    request = run_of.DrillRequest(fault=Fault.FLOOD, count=3, timeout_s=60)
    environment = resolve(cwd=tmp_path, environ={})
    result(run_of.drill(target(aws), environment, request, drills=drills, stop=Stop(), clock=aws.clock))
    assert drills.marks() == {}


def test_a_record_that_a_late_copy_writes_during_the_removal_is_removed_by_the_drill(tmp_path: Path) -> None:
    aws = Pipeline()
    written: list[str] = []

    def fault(operation: str, when: str) -> None:
        if operation == "list_objects_v2" and when == "after" and not written:  # the records are gone
            event = json.loads(sent[0])
            written.append(event["id"])
            aws.record(event["id"], event["timestamp"], type=wire.DRILL, status="processed")

    sent: list[str] = []
    original = aws._send_message_batch

    def send(QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        sent.extend(entry["MessageBody"] for entry in Entries)
        return original(QueueUrl, Entries)

    aws._send_message_batch = send  # type: ignore[method-assign]
    aws.fault = fault
    request = run_of.DrillRequest(fault=Fault.FLOOD, count=3, timeout_s=60)
    environment = resolve(cwd=tmp_path, environ={})
    done = result(
        run_of.drill(target(aws), environment, request, drills=MemoryJournals(), stop=Stop(), clock=aws.clock)
    )
    assert written and aws.items == {} and (done.removed.records, done.notes) == (3, [])


def test_a_drill_that_cannot_be_recorded_sends_nothing(tmp_path: Path) -> None:
    aws, drills = Pipeline(), MemoryJournals()

    def full(_operation: str, _when: str) -> None:
        raise AwsError("S3 does not answer.")

    drills.fault = full
    request = run_of.DrillRequest(fault=Fault.FLOOD, count=3, timeout_s=60)
    environment = resolve(cwd=tmp_path, environ={})
    with pytest.raises(AwsError):
        result(run_of.drill(target(aws), environment, request, drills=drills, stop=Stop(), clock=aws.clock))
    assert aws.calls["send_message_batch"] == 0
