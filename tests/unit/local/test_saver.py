"""Saves of a running engine: each is one moment, and one that does not come to its end changes nothing."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.local import saver, saves, snapshot
from rtp.local.door import SAVES_PATH
from rtp.local.gateway import Context
from rtp.local.saver import Saver, pause_after
from rtp.local.state import DEFAULT_SAVE_EVERY_S, Folder
from rtp.local.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

# Python warns of a fork with threads from 3.12 on; the child calls nothing that may wait for one of them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
WAIT_S = 180.0


class Data:
    """Records in memory, each with a file of S3: what an engine has. `act` is called in the child, while it writes."""

    def __init__(self, place: Folder) -> None:
        self.place = place
        self.records: list[str] = []
        self.lock = threading.Lock()
        self.changing = False
        self.act: Callable[[Callable[[], None]], None] = lambda _: None

    def add(self, name: str) -> None:
        path = self.place.live / "s3" / name
        path.parent.mkdir(exist_ok=True)
        if snapshot.current is not None:
            snapshot.current.keep(str(path))
        path.write_text(name)
        self.records.append(name)

    def locks(self) -> list[Any]:
        return [self.lock]

    def is_changing(self) -> bool:
        return self.changing

    def write(self, check: Callable[[], None]) -> None:
        with self.lock:  # the child has it free
            self.act(check)
            Path("records.json").write_text(json.dumps(self.records))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The engine's folder, in which it works."""
    path = tmp_path / "local"
    path.mkdir()
    monkeypatch.chdir(path)
    folder = Folder(Path())
    saves.start(folder)
    return folder


@pytest.fixture
def data(place: Folder) -> Data:
    engine_data = Data(place)
    engine_data.add("first")
    return engine_data


def saved(place: Folder) -> tuple[list[str], list[str]]:
    """Records and files of the last complete save."""
    records = json.loads((place.data / "records.json").read_text())
    return sorted(records), sorted(path.name for path in (place.data / "s3").iterdir())


def saved_once(data: Data, every_s: float = 0) -> bool:
    async def save() -> bool:
        return await Saver(data.place, every_s, data).save()

    return asyncio.run(save())


def until(path: str) -> Callable[[Callable[[], None]], None]:
    """In the child: wait for a file of the engine's folder."""

    def wait(check: Callable[[], None]) -> None:
        Path("../waiting").touch()
        while not Path("..", path).exists():
            check()
            time.sleep(0.01)

    return wait


async def exists(path: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not Path(path).exists():
        assert time.monotonic() < deadline, path
        await asyncio.sleep(0.01)


def test_a_save_has_what_was_there_when_it_began(place: Folder, data: Data) -> None:
    data.act = until("go")

    async def run() -> None:
        saving = asyncio.create_task(Saver(place, 0, data).save())
        await exists("waiting")
        data.add("second")  # while the child writes
        Path("go").touch()
        assert await saving

    asyncio.run(run())
    assert data.records == ["first", "second"]
    assert saved(place) == (["first"], ["first"])
    assert not place.draft.exists() and not place.previous.exists()
    assert saves.saved_at(place)
    assert saved_once(data)
    assert saved(place) == (["first", "second"], ["first", "second"])


def test_each_save_beside_writers_has_the_files_of_its_records(place: Folder, data: Data) -> None:
    async def run() -> None:
        writing, count = True, 0

        async def write() -> None:
            nonlocal count
            while writing:
                count += 1
                data.add(f"n{count}")
                await asyncio.sleep(0.001)  # each file is flushed: thousands of them would show no more

        writers = [asyncio.create_task(write()) for _ in range(2)]
        engine = Saver(place, 0, data)
        for _ in range(5):
            before = count
            assert await engine.save()
            records, files = saved(place)
            assert records == files
            assert before <= len(records) and count > before
        writing = False
        await asyncio.gather(*writers)

    asyncio.run(run())


def test_a_save_that_is_dropped_leaves_the_one_before(place: Folder, data: Data) -> None:
    assert saved_once(data)
    data.add("second")
    data.act = until("never")

    async def run() -> None:
        engine = Saver(place, 0, data)
        saving = asyncio.create_task(engine.save())
        await exists("waiting")
        async with engine.paused():
            assert saving.done() or not place.draft.exists()
        assert not await saving
        await engine.close()

    asyncio.run(run())
    assert saved(place) == (["first"], ["first"])
    assert not place.draft.exists()


def test_a_reset_deletes_the_saves_and_the_one_that_is_being_written(place: Folder, data: Data) -> None:
    assert saved_once(data)
    data.act = until("never")

    async def run() -> None:
        engine = Saver(place, 0, data)
        saving = asyncio.create_task(engine.save())
        await exists("waiting")
        async with engine.resetting():
            assert saves.saved_at(place) is None
        assert not await saving

    asyncio.run(run())
    assert saves.saved_at(place) is None and not place.data.exists() and not place.draft.exists()


def full(_: Callable[[], None]) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # of the child alone: every write fails


def killed(_: Callable[[], None]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("act", "reason"), [(full, "File too large"), (killed, "its process ended with -9")])
def test_a_save_that_fails_leaves_the_one_before_and_says_why(
    place: Folder, data: Data, act: Callable[[Callable[[], None]], None], reason: str
) -> None:
    assert saved_once(data)
    data.add("second")
    data.act = act
    engine = Saver(place, 0, data)
    before = sorted(place.path.iterdir())
    assert not asyncio.run(engine.save())
    assert engine.error == reason
    assert saved(place) == (["first"], ["first"])
    assert sorted(place.path.iterdir()) == before, "nothing is written: the disk may be full"
    # And the next one is as any other
    data.act = lambda _: None
    assert asyncio.run(engine.save())
    assert saved(place) == (["first", "second"], ["first", "second"])
    assert engine.error == ""


def test_a_save_that_cannot_begin_says_why(place: Folder, data: Data) -> None:
    place.draft.write_text("where the folder would be")
    engine = Saver(place, 0, data)
    assert not asyncio.run(engine.save())
    assert engine.error == "File exists"
    assert asyncio.run(answer_of(engine)) == {"error": "File exists"}


async def answer_of(engine: Saver) -> Any:
    """What the engine answers about its saves."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def unused(*_: object) -> Any:
        raise AssertionError

    app = Context(unused, Telemetry(), engine)
    await app({"type": "http", "path": SAVES_PATH, "method": "GET", "headers": []}, unused, send)
    return json.loads(sent[1]["body"])


def test_a_save_does_not_begin_while_something_goes_on_that_could_not_be_resumed(place: Folder, data: Data) -> None:
    data.changing = True
    engine = Saver(place, 0, data)
    assert not asyncio.run(engine.save())
    assert saves.saved_at(place) is None and not engine.error


def test_a_save_begins_when_no_thread_changes_the_data(
    place: Folder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saver, "LOCK_LIMIT_S", 0.2)
    engine = Saver(place, 0, data)
    with data.lock:
        assert not asyncio.run(engine.save())
    assert "a lock of the data was not free" in engine.error
    monkeypatch.setattr(saver, "LOCK_LIMIT_S", WAIT_S)
    data.lock.acquire()
    threading.Timer(0.3, data.lock.release).start()
    assert saved_once(data)


def test_the_engine_saves_after_a_request_and_not_without(place: Folder, data: Data) -> None:
    async def run() -> None:
        engine = Saver(place, 0.01, data)
        engine.start()
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert saves.saved_at(place) is None
        engine.count_request()
        await exists(str(place.data / "saved"))
        await engine.close()

    asyncio.run(run())


def test_an_engine_saves_every_30_seconds_by_default() -> None:
    assert Environment(name="local", project="shop", root=Path()).save_every_s == DEFAULT_SAVE_EVERY_S == 30


def test_the_pause_grows_with_what_a_save_costs() -> None:
    assert pause_after(30, 0.1, 0.2) == 30
    assert pause_after(30, 6, 10) == 120  # a twentieth of one core
    assert pause_after(30, 0.1, 200) == 200  # a slow disk is written to for half of the time at most


def test_the_processor_time_of_a_save_is_known(place: Folder, data: Data) -> None:
    def compute(check: Callable[[], None]) -> None:
        while time.process_time() < 0.5:
            check()

    async def run() -> None:
        engine = Saver(place, 0, data)
        data.act = compute
        assert await engine.save()
        assert engine.cost_s >= 0.5

    asyncio.run(run())


ORPHANED = """
import asyncio, os, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.local.test_saver import Data, until
from rtp.local import saves
from rtp.local.saver import Saver
from rtp.local.state import DEFAULT_SAVE_EVERY_S, Folder

place = Folder(Path())
data = Data(place)
saves.start(place)
data.add("first")

async def run():
    assert await Saver(place, 0, data).save()
    data.add("second")
    data.act = until("go")
    asyncio.create_task(Saver(place, 0, data).save())
    while not Path("waiting").exists():
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(run())
"""


def test_the_child_of_a_killed_engine_ends_and_changes_nothing(tmp_path: Path) -> None:
    # Given an engine that is killed while its child writes
    root = str(Path(__file__).parents[3])
    argv = [sys.executable, "-W", "ignore", "-c", ORPHANED, root]
    engine = subprocess.Popen(argv, cwd=tmp_path, stderr=subprocess.PIPE)
    with engine:
        assert engine.stderr is not None
        errors = engine.stderr.read()  # until the child has closed it too
    assert engine.returncode == -signal.SIGKILL, errors
    # When
    place = Folder(tmp_path)
    (tmp_path / "go").touch()
    saves.discard_run(place)
    # Then
    assert saved(place) == (["first"], ["first"])
    assert not place.draft.exists() and not place.live.exists()


def test_no_descriptor_of_the_engine_stays_open_in_the_child(place: Folder, data: Data) -> None:
    """Else the lock of the folder would outlive a killed engine, and functions would not see its end."""
    lock = place.serve()
    assert lock is not None

    def count(_: Callable[[], None]) -> None:
        opened = []
        for descriptor in range(3, 256):
            with suppress(OSError):
                os.fstat(descriptor)
                opened.append(descriptor)
        Path("../descriptors").write_text(json.dumps(len(opened)))

    data.act = count
    assert saved_once(data)
    assert json.loads(Path("descriptors").read_text()) == 1, "the report alone"
    lock.close()
