"""The engine belongs to one folder: copies have none of their own, and moved folders keep theirs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from rtp.aws import Aws
from rtp.errors import NotFoundError, RefusedError
from rtp.local import engine, process
from rtp.local.state import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    """A project folder whose engine does not outlive the test, wherever the test moves it."""
    root = tmp_path / "shop"
    root.mkdir()
    yield root
    for place in tmp_path.rglob(".rtp"):
        if place.is_dir() and not place.is_symlink():
            engine.stop(place.parent)


def aws(running: engine.Engine) -> Aws:
    return Aws(region="us-east-1", endpoint_url=running.endpoint_url, local=True)


def buckets(root: Path) -> set[str]:
    return {bucket["Name"] for bucket in aws(engine.require(root)).call("s3", "list_buckets")["Buckets"]}


def cp(*options: str) -> Callable[[Path, Path], object]:
    return lambda source, target: subprocess.run(["cp", *options, source, target], check=True)


@pytest.mark.parametrize("copy", [cp("-r"), cp("-a"), cp("-al")], ids=["cp -r", "cp -a", "cp -al"])
def test_a_copy_of_a_running_engine_s_folder_has_no_engine(shop: Path, copy: Callable[[Path, Path], object]) -> None:
    # Given
    running = engine.start(shop)
    aws(running).call("s3", "create_bucket", Bucket="original")
    other = shop.with_name("copy")
    copy(shop, other)
    log = (folder(shop).path / "engine.log").stat().st_ino
    # When looked at
    seen = engine.status(other)
    # Then it does not run, and nothing that is done there reaches the original's
    assert seen.state == "stopped"
    assert seen.copied
    with pytest.raises(NotFoundError, match="copy") as caught:
        engine.require(other)
    assert caught.value.code == "engine-stopped"
    engine.reset(other)
    assert not engine.stop(other)
    assert engine.status(other) == engine.EngineStatus("stopped", folder(other).path, folder(other).log_file)
    assert engine.require(shop).pid == running.pid
    assert buckets(shop) == {"original"}
    # And its own is another, on another port
    own = engine.start(other)
    assert own.pid != running.pid and own.port != running.port
    assert buckets(other) == set()
    aws(own).call("s3", "create_bucket", Bucket="copied")
    assert buckets(shop) == {"original"}
    assert (folder(other).path / "engine.log").stat().st_ino != log
    engine.stop(other)
    assert engine.require(shop).pid == running.pid
    engine.stop(shop)
    engine.start(shop)
    assert buckets(shop) == {"original"}


def test_a_start_in_a_copy_says_that_it_begins_with_nothing(shop: Path) -> None:
    engine.start(shop)
    other = shop.with_name("copy")
    shutil.copytree(shop, other)
    first = engine.start(other)
    assert first.copied and not first.data_lost
    assert not engine.start(other).copied


def test_a_copy_of_a_stopped_engine_s_folder_begins_with_its_data(shop: Path) -> None:
    # Given
    first = engine.start(shop)
    url = aws(first).call("sqs", "create_queue", QueueName="jobs")["QueueUrl"]
    aws(first).call("sqs", "send_message", QueueUrl=url, MessageBody="waiting")
    engine.stop(shop)
    other = shop.with_name("copy")
    shutil.copytree(shop, other)
    # When both run, so that the copy gets another port than the one in the queue's URL
    original = engine.start(shop, port=first.port)
    own = engine.start(other)
    # Then each has its own
    assert own.port != original.port
    for running in (own, original):
        received = aws(running).call("sqs", "receive_message", QueueUrl=url)
        assert [message["Body"] for message in received["Messages"]] == ["waiting"]


def test_a_link_to_the_project_leads_to_its_engine(shop: Path) -> None:
    running = engine.start(shop)
    link = shop.with_name("link")
    link.symlink_to(shop)
    assert engine.start(link).pid == running.pid
    assert engine.status(link).folder == folder(shop).path
    assert engine.stop(link)
    assert engine.status(shop).state == "stopped"


def test_a_pid_that_belongs_to_another_process_by_now_is_no_engine(shop: Path) -> None:
    # Given a killed engine, whose pid and start time some other process has, as after a restored snapshot
    running = engine.start(shop)
    place = folder(shop)
    record = place.record()
    assert record is not None
    os.kill(running.pid, signal.SIGKILL)
    process.wait_gone(record.pid, record.started, 5)
    other = subprocess.Popen(["sleep", "60"])
    try:
        taken = {"pid": other.pid, "started": process.started(other.pid)}
        place.write_record(type(record)(**{**{k: getattr(record, k) for k in record.__slots__}, **taken}))
        # When
        assert engine.status(shop).state == "killed"
        assert not engine.stop(shop)
        # Then
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_an_engine_that_cannot_be_seen_is_left_alone(shop: Path) -> None:
    # Given one whose process has no pid here, as of another container that has the folder too
    running = engine.start(shop)
    place = folder(shop)
    record = place.record()
    assert record is not None
    seen = {k: getattr(record, k) for k in record.__slots__}
    place.write_record(type(record)(**{**seen, "pid": 2**22 + 1}))
    # When
    assert engine.status(shop).state == "elsewhere"
    for act in (engine.require, engine.start, engine.stop, engine.reset):
        with pytest.raises(RefusedError) as caught:
            act(shop)
        assert caught.value.code == "engine-elsewhere"
    # Then
    place.write_record(record)
    assert engine.require(shop).pid == running.pid
    assert engine.status(shop).answers
