"""Journals in rtp's own bucket: written before the call returns, in chunks, and read by every machine."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import objects
from rtp.errors import AwsError, ConfigError, RtpError
from rtp.ops.dlq.journal import load
from rtp.ops.journal_store import JournalFiles
from rtp.ops.shared_journals import JournalObjects, SharedJournals
from rtp.ops.work import pool
from tests.unit.deploy.bucket import Bucket, lost, refusal

if TYPE_CHECKING:
    from pathlib import Path

BASE, KEY = "journals/shop/dev/k/dlq/", "arn:aws:kms:us-east-1:111122223333:key/k"


class World(Bucket):
    """A bucket that lists what is in it. sizes: of objects that are said to be larger than they are."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}

    def store(self) -> JournalObjects:
        aws: Any = self.aws(list_objects_v2=self._list)
        return JournalObjects(aws, BASE, KEY)

    def _list(self, Prefix: str, **_: Any) -> dict[str, Any]:
        self.before("list_objects_v2")
        found = [(key, body, at) for key, (body, _, at) in sorted(self.objects.items()) if key.startswith(Prefix)]
        return {
            "Contents": [
                {"Key": key, "LastModified": datetime.fromtimestamp(at, UTC), "Size": self.sizes.get(key, len(body))}
                for key, body, at in found
            ]
        }


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


def test_what_is_written_is_under_the_stacks_key_and_marks_too() -> None:
    world, asked = World(), list[dict[str, Any]]()
    aws: Any = world.aws(list_objects_v2=world._list)
    put = aws.answers["put_object"]

    def asking(**params: Any) -> Any:
        asked.append(params)
        return put(**params)

    aws.answers["put_object"] = asking
    store = JournalObjects(aws, BASE, KEY)
    store.begin("run", b"head\n", durable=True)
    store.append("run", b"one\n", durable=True)
    store.mark("run", "1-progress", b"{}")
    assert len(asked) == 3
    assert {(each["ServerSideEncryption"], each["SSEKMSKeyId"]) for each in asked} == {("aws:kms", KEY)}


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


class Endless(io.RawIOBase):
    """The contents of an object without an end."""

    def read(self, size: int = -1, /) -> bytes:
        assert size > 0, "it is read as a whole"
        return b"x" * size


def test_names_that_no_run_has_are_left_out_and_thousands_are_listed() -> None:
    world = World()
    odd = ["../x", "a\nb", "\x1b[2J", "\u202ex", "--run", "", "a b", "x" * 900, "a.jsonl"]
    for name in odd:
        world.objects[f"{BASE}runs/{name}.jsonl"] = (b"", "e", 0.0)
    for number in range(5000):
        world.objects[f"{BASE}runs/20260101T000000Z-purge-{number:06x}.jsonl"] = (b"", "e", float(number))
    assert len(world.store().runs()) == 5000
    # And of a run's chunks those alone that a writer names so
    for name in ("1-x.jsonl", "../1-0123abcd.jsonl", "\u0661" * 8 + "-0123abcd.jsonl", "9" * 900 + "-0123abcd.jsonl"):
        world.objects[f"{BASE}more/run/{name}"] = (b"forged\n", "e", 0.0)
    world.objects[f"{BASE}runs/run.jsonl"] = (b"head\n", "e", 0.0)
    store = world.store()
    store.append("run", b"one\n", durable=True)
    assert world.store().read("run") == b"head\none\n"


def test_a_journal_that_is_too_large_is_refused_before_it_fills_the_memory() -> None:
    world = World()
    world.objects[f"{BASE}runs/run.jsonl"] = (b"", "e", 0.0)
    world.objects[f"{BASE}more/run/00000001-0123abcd.jsonl"] = (b"", "e", 0.0)
    world.sizes[f"{BASE}more/run/00000001-0123abcd.jsonl"] = 3_000_000_000
    with pytest.raises(ConfigError, match="more than") as caught:
        load(world.store(), "run")
    assert caught.value.code == "unreadable-journal"


def test_an_object_without_an_end_is_read_in_part_and_refused() -> None:
    aws: Any = World().aws(get_object=lambda **_: {"Body": Endless()})
    with pytest.raises(RtpError, match="more than 10,000 bytes") as caught:
        objects.get(aws, "bucket", "key", most=10_000)
    assert caught.value.code == "object-too-large"


def test_a_journal_of_lines_that_are_no_json_is_refused() -> None:
    world = World()
    world.objects[f"{BASE}runs/run.jsonl"] = (b"x\n" * 5000, "e", 0.0)
    with pytest.raises(ConfigError, match="not JSON") as caught:
        load(world.store(), "run")
    assert caught.value.code == "unreadable-journal"
