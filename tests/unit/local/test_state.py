"""The state folder, and the environment that the engine is given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from rtp.errors import WaitTimeoutError
from rtp.local import process
from rtp.local.environment import scrubbed
from rtp.local.state import Folder, Occupant, Record
from rtp.local.weather.choice import Weather

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / ".rtp" / "local")
    made.create()
    return made


def test_the_engine_gets_no_private_variables() -> None:
    # Given
    user = {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "HOME": "/home/ann",
        "AWS_PROFILE": "prod",
        "AWS_SESSION_TOKEN": "secret",
        "AWS_ENDPOINT_URL": "https://elsewhere",
        "HTTP_PROXY": "http://proxy",
        "GH_TOKEN": "secret",
        "LD_PRELOAD": "/lib/x.so",
    }
    # When
    given = scrubbed(user)
    # Then
    assert given["PATH"] == "/bin"
    assert set(user) & set(given) == {"PATH", "LANG"}
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(given)  # the engine makes its own
    assert scrubbed(user, {"AUTH": "true"})["AUTH"] == "true"


@pytest.mark.parametrize("text", ["", "0", "-1", "65536", "9" * 5000, "x", "4566\n" * 100, "1e9"], ids=range(8))
def test_a_port_that_is_none_is_not_preferred(place: Folder, text: str) -> None:
    place.port_file.write_text(text)
    assert place.last_port() is None


def test_a_record_is_private_and_whole(place: Folder) -> None:
    record = Record(7, "then", 4566, "t", *place.identity(), "id", "secret")
    place.write_record(record)
    assert place.record() == record
    assert place.record_file.stat().st_mode & 0o777 == 0o600
    assert place.last_port() == 4566
    assert not list(place.path.glob("*.new"))


def _is_of_its_types(values: dict[str, Any]) -> bool:
    """Of the hostile values below, the few that a record may have."""
    of_text = all(isinstance(values[name], str) for name in ("started", "token", "access_key_id", "secret_access_key"))
    of_number = all(type(values[name]) is int and 0 <= values[name] < 2**64 for name in ("device", "inode"))
    of_process = all(type(values[name]) is int and 1 <= values[name] < 2**31 for name in ("pid", "port"))
    saves = type(values["save_every_s"]) in (int, float) and 0 <= values["save_every_s"] < 10**13
    return of_text and of_number and of_process and saves and not values["weather"]


def test_a_damaged_record_is_that_of_a_killed_engine(place: Folder) -> None:
    place.write_record(Record(os.getpid(), process.started(os.getpid()) or "", 4566, "t", *place.identity(), "i", "s"))
    good = json.loads(place.record_file.read_text())
    hostile: list[Any] = [10**400, -1, [], {"a": 1}, "x", 1.5, True]
    wrong = [good | {name: value} for name in good for value in hostile]
    texts = [json.dumps(each) for each in wrong if not _is_of_its_types(each)]
    assert len(texts) > 50
    for text in ("", "{", "[]", '{"pid": 1}', '"x"', "7", "[" * 5000, '{"pid": ' + "9" * 5000 + "}", *texts):
        place.record_file.write_text(text)
        record = place.record()
        assert record is not None
        assert not process.alive(record.pid, record.started)


def test_a_record_of_another_folder_is_that_of_a_copy(place: Folder) -> None:
    assert place.occupant() == Occupant("stopped")
    device, inode = place.identity()
    for of in ((device, inode + 1), (device + 1, inode)):
        record = Record(os.getpid(), process.started(os.getpid()) or "", 4566, "t", *of, "id", "secret")
        place.write_record(record)
        assert place.occupant() == Occupant("copied", record)


def test_a_live_process_that_does_not_serve_is_no_engine(place: Folder) -> None:
    # Given a record whose process lives, without the lock of the one that serves
    record = Record(os.getpid(), process.started(os.getpid()) or "", 4566, "t", *place.identity(), "id", "secret")
    place.write_record(record)
    assert place.occupant() == Occupant("killed", record)
    # When it takes the lock, then lets go
    serving = place.serve()
    assert serving is not None
    assert place.occupant() == Occupant("running", record)
    assert place.serve(timeout=0) is None
    serving.close()
    assert place.occupant().state == "killed"


def test_hard_links_are_replaced_by_files(place: Folder, tmp_path: Path) -> None:
    # Given a copy made of hard links, while the original is served
    serving = place.serve()
    place.log_file.write_text("logged\n")
    copy = Folder(tmp_path / "copy")
    copy.path.mkdir()
    for file in place.path.iterdir():
        if file.is_file():
            os.link(file, copy.path / file.name)
    # When
    copy.unshare()
    # Then each has its own lock and log
    own = copy.serve(timeout=0)
    assert serving is not None and own is not None
    assert copy.log_file.read_text() == "logged\n"
    assert not copy.log_file.samefile(place.log_file)
    place.unshare()
    assert place.serve(timeout=0) is None
    serving.close()
    own.close()


def test_waiting_for_the_lock_has_a_limit(place: Folder) -> None:
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with place.lock():
            held.set()
            free.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    with pytest.raises(WaitTimeoutError), place.lock(timeout=0.1):
        pass
    free.set()
    with place.lock(timeout=5):
        pass
    holder.join()


def test_a_process_is_known_by_its_start_too() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    start = process.started(child.pid)
    assert start is not None
    assert process.alive(child.pid, start)
    assert not process.alive(child.pid, "another time")
    # Another process gets no signal
    process.kill_group(child.pid, "another time")
    time.sleep(0.1)
    assert child.poll() is None
    # It is ended, and a zombie counts as gone
    process.kill_group(child.pid, start)
    assert process.wait_gone(child.pid, start, 5)
    child.wait()
    assert process.started(os.getpid()) is not None
    assert process.started(0) is None


@pytest.mark.parametrize("effects", [(), ("resets", "throttling")])
def test_the_weather_of_a_running_engine_equals_the_one_that_was_chosen(
    place: Folder, effects: tuple[str, ...]
) -> None:
    # Given a record, which is JSON and has lists for tuples
    chosen = Weather.of(1, effects)
    place.write_record(Record(7, "then", 4566, "t", *place.identity(), "id", "secret", chosen))
    # When it is read / Then `rtp local start --weather 1` finds the engine as it is to be
    record = place.record()
    assert record is not None and record.weather == chosen
