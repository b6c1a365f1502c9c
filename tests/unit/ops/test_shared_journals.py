"""Journals in rtp's own bucket: written before the call returns, in chunks, and read by every machine."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import AwsError
from rtp.ops.journal_store import JournalFiles
from rtp.ops.shared_journals import JournalObjects, SharedJournals
from rtp.ops.work import pool
from tests.unit.deploy.bucket import Bucket, lost, refusal

if TYPE_CHECKING:
    from pathlib import Path

BASE, KEY = "journals/shop/dev/k/dlq/", "arn:aws:kms:us-east-1:111122223333:key/k"


class World(Bucket):
    """A bucket that lists what is in it."""

    def store(self) -> JournalObjects:
        aws: Any = self.aws(list_objects_v2=self._list)
        return JournalObjects(aws, BASE, KEY)

    def _list(self, Prefix: str, **_: Any) -> dict[str, Any]:
        self.before("list_objects_v2")
        found = [(key, at) for key, (_, _, at) in sorted(self.objects.items()) if key.startswith(Prefix)]
        return {"Contents": [{"Key": key, "LastModified": datetime.fromtimestamp(at, UTC)} for key, at in found]}


def test_another_machine_reads_and_continues_a_journal() -> None:
    world = World()
    first = world.store()
    first.begin("run", b"head\n", durable=True)
    first.append("run", b"one\n", durable=True)
    first.append("run", b"two\n", durable=True)
    second = world.store()
    assert second.runs() == ["run"] and second.read("run") == b"head\none\ntwo\n"
    second.append("run", b"three\n", durable=True)
    assert world.store().read("run") == b"head\none\ntwo\nthree\n"


def test_runs_are_in_the_order_of_s3s_clock() -> None:
    world = World()
    for run in ("b", "c", "a"):
        world.store().begin(run, b"", durable=True)
        world.now += 5
    assert world.store().runs() == ["b", "c", "a"]


def test_batches_of_many_threads_are_all_stored_when_their_calls_return_in_fewer_objects() -> None:
    world = World()
    store = world.store()
    store.begin("run", b"head\n", durable=True)
    go = threading.Event()

    def slow(operation: str) -> None:
        if operation == "put_object":
            go.wait(0.002)

    world.before = slow

    def append(number: int) -> bool:
        store.append("run", b"%d\n" % number, durable=True)
        return b"%d\n" % number in b"".join(body.replace(b"\n", b"\n\n") for body, _, _ in world.objects.values())

    assert all(pool.map(append, range(1000, 1200), threads=16))
    lines = world.store().read("run").split()
    assert sorted(lines[1:]) == [b"%d" % number for number in range(1000, 1200)]
    assert len(world.objects) < 150


def test_a_write_without_an_answer_fails_the_call_and_the_next_one_goes_on() -> None:
    world = World()
    store = world.store()
    store.begin("run", b"head\n", durable=True)
    failures = iter([lost()])

    def fail(operation: str) -> None:
        if operation == "put_object" and (error := next(failures, None)) is not None:
            raise error

    world.before = fail
    with pytest.raises(AwsError):
        store.append("run", b"one\n", durable=True)
    store.append("run", b"two\n", durable=True)
    assert world.store().read("run") == b"head\ntwo\n"


@pytest.mark.parametrize("code", ["NoSuchBucket", "AccessDenied"])
def test_without_the_bucket_a_run_is_on_this_machine_and_says_so(tmp_path: Path, code: str) -> None:
    world, said = World(), list[str]()
    closed = refusal(code)

    def fail(_: str) -> None:
        raise closed

    world.before = fail
    files = JournalFiles(tmp_path / ".rtp" / "dlq" / "dev")
    (tmp_path / ".rtp" / "dlq").mkdir(parents=True)
    store = SharedJournals(world.store(), files, said.append)
    store.begin("20260102T000000Z-purge-a", b"head\n", durable=True)
    store.append("20260102T000000Z-purge-a", b"one\n", durable=True)
    assert "on this machine alone" in said[0]
    assert files.read("20260102T000000Z-purge-a") == b"head\none\n"
    # And with the bucket both places are read, in the order of their times
    world.before = lambda _: None
    for run in ("20260101T000000Z-purge-b", "20260103T000000Z-purge-c"):
        world.store().begin(run, b"there\n", durable=True)
        world.now += 1
    again = SharedJournals(world.store(), files, said.append)
    assert [run[-1] for run in again.runs()] == ["b", "a", "c"]
    assert again.read("20260102T000000Z-purge-a") == b"head\none\n"
    assert again.read("20260103T000000Z-purge-c") == b"there\n"


def test_a_bucket_that_does_not_answer_stops_the_run_before_anything_is_removed(tmp_path: Path) -> None:
    world = World()

    def fail(_: str) -> None:
        raise lost()

    world.before = fail
    with pytest.raises(AwsError):
        SharedJournals(world.store(), JournalFiles(tmp_path), lambda _: None).begin("run", b"", durable=True)
    assert not list(tmp_path.iterdir())
