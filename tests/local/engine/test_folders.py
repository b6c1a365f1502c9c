"""The engine belongs to one folder: copies have none of their own, and moved folders keep theirs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import Aws
from rtp.errors import NotFoundError, RefusedError
from rtp.local import engine, process, state
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
            with contextlib.suppress(RefusedError):  # a test has seen to it that nothing could be started there
                engine.stop(place.parent)


def aws(running: engine.Engine) -> Aws:
    return Aws(region="us-east-1", endpoint_url=running.endpoint_url, local=True, keys=running.keys)


def buckets(root: Path) -> set[str]:
    return {bucket["Name"] for bucket in aws(engine.require(root)).call("s3", "list_buckets")["Buckets"]}


def cp(*options: str) -> Callable[[Path, Path], object]:
    return lambda source, target: subprocess.run(["cp", *options, source, target], check=True)


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(cp("-r"), id="cp -r"),
        pytest.param(cp("-a"), id="cp -a", marks=pytest.mark.long),
        pytest.param(cp("-al"), id="cp -al", marks=pytest.mark.long),
    ],
)
def test_a_copy_of_a_running_engine_s_folder_has_no_engine(shop: Path, copy: Callable[[Path, Path], object]) -> None:
    # Given
    running = engine.start(shop, save_every_s=0)
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


@pytest.mark.long
def test_a_copy_of_a_running_engine_s_folder_begins_with_the_last_save(shop: Path) -> None:
    # Given
    aws(engine.start(shop, save_every_s=0)).call("s3", "create_bucket", Bucket="saved")
    engine.stop(shop)
    aws(engine.start(shop, save_every_s=0)).call("s3", "create_bucket", Bucket="since")
    other = shop.with_name("copy")
    shutil.copytree(shop, other)
    # When
    first = engine.start(other)
    # Then it has just that, and says so once
    assert buckets(other) == {"saved"}
    assert "last save" in first.loss and not first.data_lost
    assert not engine.start(other).loss
    assert buckets(shop) == {"saved", "since"}


def test_a_copy_of_a_stopped_engine_s_folder_begins_with_its_data(shop: Path) -> None:
    # Given
    first = engine.start(shop)
    url = aws(first).call("sqs", "create_queue", QueueName="jobs")["QueueUrl"]
    aws(first).call("sqs", "send_message", QueueUrl=url, MessageBody="waiting")
    engine.stop(shop)
    other = shop.with_name("copy")
    shutil.copytree(shop, other)
    # When both run, so that at least one has another port than the one in the queue's URL
    original = engine.start(shop)
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


def test_a_backup_put_in_the_folder_s_place_has_no_engine(shop: Path) -> None:
    # Given a backup of a running engine's folder
    running = engine.start(shop, save_every_s=0)
    aws(running).call("s3", "create_bucket", Bucket="original")
    backup = shop.with_name("backup")
    shutil.copytree(shop, backup)
    moved = shop.with_name("moved")
    # When it takes the place of the folder
    shop.rename(moved)
    backup.rename(shop)
    # Then the engine belongs to the folder that has moved
    assert engine.status(shop).copied
    assert not engine.stop(shop)
    assert engine.require(moved).pid == running.pid
    assert buckets(moved) == {"original"}


def test_a_reused_pid_is_no_engine(shop: Path) -> None:
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


def test_an_engine_that_is_not_visible_is_not_touched(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given one whose process has no pid here, as of another container that has the folder too
    running = engine.start(shop)
    place = folder(shop)
    record = place.record()
    assert record is not None
    seen = {k: getattr(record, k) for k in record.__slots__}
    place.write_record(type(record)(**{**seen, "pid": 2**22 + 1}))
    monkeypatch.setattr(state, "_ENDING_S", 0.2)  # nobody is waited for who may be ending
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


CODE = """
import json, os, sys
def handler(event, context):
    if event.get("warm"):
        return "warm"
    import later
    return {"later": later.VALUE, "tmp": os.path.isdir(os.environ["TMPDIR"]), "home": os.path.isdir(os.environ["HOME"])}
"""


def function(running: engine.Engine, name: str) -> str:
    """A function that imports a module of its own only when it is called."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", CODE)
        archive.writestr("later.py", "VALUE = 1\n")
    role = "arn:aws:iam::000000000000:role/any"
    made = {"FunctionName": name, "Runtime": "python3.13", "Role": role, "Handler": "app.handler", "Timeout": 30}
    aws(running).call("lambda", "create_function", **made, Code={"ZipFile": packed.getvalue()})
    return name


def invoke(running: engine.Engine, name: str, **event: Any) -> Any:
    answer = aws(running).call("lambda", "invoke", FunctionName=name, Payload=json.dumps(event).encode())
    return json.loads(answer["Payload"].read())


def move_project(shop: Path) -> Path:
    return shop.rename(shop.with_name("shop-renamed"))


def move_parent(shop: Path) -> Path:
    """The folder above the project."""
    return shop.parent.rename(shop.parent.with_name(f"{shop.parent.name}-renamed")) / shop.name


def move_engine_folder(shop: Path) -> Path:
    """Only `.rtp`, into another project."""
    other = shop.with_name("other")
    other.mkdir()
    (shop / ".rtp").rename(other / ".rtp")
    return other


WORKS = {"later": 1, "tmp": True, "home": True}


@pytest.mark.parametrize(
    "move", [move_project, *(pytest.param(each, marks=pytest.mark.long) for each in (move_parent, move_engine_folder))]
)
def test_a_folder_that_is_moved_while_its_engine_runs_loses_nothing(
    shop: Path, move: Callable[[Path], Path], request: pytest.FixtureRequest
) -> None:
    # Given an engine with data, and a function whose worker runs
    running = engine.start(shop)
    cloud = aws(running)
    url = cloud.call("sqs", "create_queue", QueueName="jobs")["QueueUrl"]
    cloud.call("sqs", "send_message", QueueUrl=url, MessageBody="before")
    cloud.call("s3", "create_bucket", Bucket="bucket")
    cloud.call("s3", "put_object", Bucket="bucket", Key="raw/before", Body=b"before")
    warm, cold = function(running, "warm"), function(running, "cold")
    assert invoke(running, warm, warm=True) == "warm"
    # When it is moved, and something else gets its old name
    moved = move(shop)
    request.addfinalizer(lambda: engine.stop(moved))
    precious = [shop / ".rtp" / "local" / name / "precious" for name in ("data", "live", "data.old", "tmp", "home")]
    for file in precious:
        file.parent.mkdir(parents=True)
        file.write_text("not the engine's")
    # Then everything works
    assert engine.require(moved).pid == running.pid
    assert engine.status(moved).folder == folder(moved).path
    assert invoke(running, warm) == WORKS
    assert invoke(running, cold) == WORKS
    cloud.call("sqs", "send_message", QueueUrl=url, MessageBody="after")
    cloud.call("s3", "put_object", Bucket="bucket", Key="raw/after", Body=b"after")
    assert cloud.call("s3", "get_object", Bucket="bucket", Key="raw/before")["Body"].read() == b"before"
    # And a stop saves it where the folder is now
    assert engine.stop(moved)
    assert engine.status(moved).state == "stopped"
    second = engine.start(moved)
    assert not second.loss
    listed = aws(second).call("s3", "list_objects_v2", Bucket="bucket")["Contents"]
    assert {entry["Key"] for entry in listed} == {"raw/before", "raw/after"}
    received = aws(second).call("sqs", "receive_message", QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert {message["Body"] for message in received} == {"before", "after"}
    assert invoke(second, cold) == WORKS
    # And the old name's new owner has all that it had
    assert {file for file in shop.rglob("*") if file.is_file()} == set(precious)
    assert {file.read_text() for file in precious} == {"not the engine's"}


@pytest.mark.long
def test_objects_written_while_the_folder_is_moved_are_kept(shop: Path) -> None:
    # Given
    running = engine.start(shop)
    cloud = aws(running)
    cloud.call("s3", "create_bucket", Bucket="bucket")
    worker = function(running, "worker")
    moved = shop.with_name("shop-renamed")
    ended = threading.Event()

    def move_to_and_fro() -> None:
        while not ended.wait(0.001):
            shop.rename(moved)
            moved.rename(shop)

    mover = threading.Thread(target=move_to_and_fro)
    mover.start()
    # When
    try:
        for number in range(150):
            cloud.call("s3", "put_object", Bucket="bucket", Key=f"raw/{number}/key", Body=b"here")
        assert invoke(running, worker) == WORKS
    finally:
        ended.set()
        mover.join()
    # Then
    assert engine.stop(shop)
    assert not moved.exists()
    listed = aws(engine.start(shop)).call("s3", "list_objects_v2", Bucket="bucket")["Contents"]
    assert len(listed) == 150


def test_the_log_continues_in_a_moved_folder(shop: Path) -> None:
    # Given an engine whose log is about to be rotated
    running = engine.start(shop)
    moved = move_project(shop)
    with (folder(moved).path / "engine.log").open("a") as log:
        log.truncate(5_000_000)
    # When it logs
    engine.stop(moved)
    # Then
    assert running.pid
    assert "saving" in (folder(moved).path / "engine.log").read_text()
    assert (folder(moved).path / "engine.log.1").exists()
    assert not shop.exists()


ACTS: dict[str, Callable[[Path], object]] = {
    "start": engine.start,
    "stop": engine.stop,
    "reset": engine.reset,
    "status": engine.status,
    "require": engine.require,
    "taken_port": engine.taken_port,
}


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The user's own files, in folders that are named as an engine's are."""
    made = tmp_path / "theirs"
    for name in ("tmp", "home", "data", "live", "local/tmp", "local/home", "local/data"):
        (made / name).mkdir(parents=True)
        (made / name / "precious").write_text("precious")
    (made / "engine.json").write_text("{")  # as of a killed engine, whose files are to be removed
    return made


def content(folder: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("part", [".rtp", ".rtp/local", ".rtp/local/data", ".rtp/local/tmp", ".rtp/local/home"])
def test_nothing_is_deleted_through_a_link(shop: Path, theirs: Path, part: str, act: str) -> None:
    # Given a project that somebody sent, with a link where the engine's folder is
    before = content(theirs)
    (shop / part).parent.mkdir(parents=True, exist_ok=True)
    (shop / part).symlink_to(theirs)
    # When
    with pytest.raises(RefusedError, match="link") as caught:
        ACTS[act](shop)
    # Then
    assert caught.value.code == "folder-is-link"
    assert content(theirs) == before
    (shop / part).unlink()


@pytest.mark.parametrize("part", ["tmp", "home", "live", "data"])
def test_the_files_of_a_killed_engine_are_not_removed_through_a_link(shop: Path, theirs: Path, part: str) -> None:
    # Given
    engine.start(shop)
    engine.stop(shop)
    running = engine.start(shop)
    place = folder(shop)
    record = place.record()
    assert record is not None
    os.killpg(running.pid, signal.SIGKILL)
    process.wait_gone(record.pid, record.started, 5)
    before = content(theirs)
    (place.path / part).rename(place.path / "aside")
    (place.path / part).symlink_to(theirs)
    # When
    for act in ACTS.values():
        with pytest.raises(RefusedError, match="link"):
            act(shop)
    # Then
    assert content(theirs) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("part", [".rtp", ".rtp/local", ".rtp/local/data", ".rtp/local/tmp", ".rtp/local/home"])
def test_a_folder_of_another_user_is_refused(shop: Path, part: str, act: str) -> None:
    # Given
    (shop / part).mkdir(parents=True)
    (shop / part / "precious").write_text("precious")
    os.chown(shop / part, 65534, 65534)
    # When
    with pytest.raises(RefusedError, match="another user") as caught:
        ACTS[act](shop)
    # Then
    assert caught.value.code == "folder-of-another-user"
    assert content(shop) == {shop / part / "precious": "precious"}
    os.chown(shop / part, 0, 0)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("part", ["data", "tmp", "home"])
def test_a_folder_that_rtp_did_not_make_is_refused(shop: Path, part: str, act: str) -> None:
    # Given
    mine = shop / ".rtp" / "local" / part
    mine.mkdir(parents=True)
    (mine / "precious").write_text("precious")
    # When
    with pytest.raises(RefusedError, match="not made by rtp"):
        ACTS[act](shop)
    # Then
    assert content(shop) == {mine / "precious": "precious"}
    (mine / "precious").unlink()


@pytest.mark.parametrize("command", ["start", "stop", "status", "logs", "env", "reset --yes"])
def test_the_command_line_refuses_a_link_too(shop: Path, theirs: Path, command: str) -> None:
    before = content(theirs)
    (shop / ".rtp").mkdir()
    (shop / ".rtp" / "local").symlink_to(theirs)
    argv = [sys.executable, "-m", "rtp", "local", *command.split()]
    run = subprocess.run(argv, cwd=shop, capture_output=True, text=True, check=False)
    assert run.returncode == 5, run.stderr
    assert "is a link" in run.stderr and f"rm {shop}/.rtp/local" in run.stderr
    assert content(theirs) == before
    (shop / ".rtp" / "local").unlink()
