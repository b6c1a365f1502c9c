"""Stopping an engine: whatever it does, it ends, and the last save is still there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from rtp.errors import RtpError
from rtp.local import process, saves, stopping
from rtp.local.state import Folder, Record
from rtp.local.stopping import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORT = Patience(signalled=1, draining=1, saving=1, saved=1)
IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
SAVING = "signal.signal(signal.SIGTERM, lambda *_: (place / 'stopping').write_text('saving'))"
SAVED = "signal.signal(signal.SIGTERM, lambda *_: (place / 'engine.json').unlink())"
DIES = "pass"

Start = Callable[[str], Record]


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    """A folder with a complete save, and another run going on."""
    made = Folder(tmp_path)
    made.create()
    (made.live / "state").write_text("of the save")
    saves.complete(made)
    saves.start(made)
    (made.live / "state").write_text("of the run")
    return made


@pytest.fixture
def start(place: Folder) -> Iterator[Start]:
    """Starts a process in place of the engine's, which reacts like this to SIGTERM."""
    started: list[subprocess.Popen[bytes]] = []

    def run(what: str) -> Record:
        script = (
            f"import pathlib, signal, time; place = pathlib.Path({str(place.path)!r}); {what}\n"
            "(place / 'up').touch()\nwhile True: time.sleep(0.1)"
        )
        child = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
        started.append(child)
        while not (place.path / "up").exists():
            time.sleep(0.01)
        record = Record(child.pid, process.started(child.pid) or "", 1, "", *place.identity(), "", "")
        place.write_record(record)
        return record

    yield run
    for child in started:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("what", "said"), [(IGNORES, "did not react and was killed"), (SAVING, "did not finish saving and was killed")]
)
def test_an_engine_that_does_not_end_is_killed_and_its_last_save_stays(
    place: Folder, start: Start, what: str, said: str
) -> None:
    record = start(what)
    stopped = stopping.end(place, record, SHORT)
    assert not process.alive(record.pid, record.started)
    assert said in stopped.loss and "since its last save, of " in stopped.loss
    assert place.occupant().state == "stopped"
    assert (place.data / "state").read_text() == "of the save"
    assert not place.live.exists() and not place.stopping_file.exists()


def test_an_engine_that_has_saved_and_does_not_end_loses_nothing(place: Folder, start: Start) -> None:
    record = start(SAVED)
    assert stopping.end(place, record, SHORT).loss == ""
    assert not process.alive(record.pid, record.started)
    assert place.occupant().state == "stopped"


def test_an_engine_that_ends_without_saving_is_an_error(place: Folder, start: Start) -> None:
    record = start(DIES)
    with pytest.raises(RtpError, match=r"could not save its data: .* since its last save"):
        stopping.end(place, record, SHORT)
    assert (place.data / "state").read_text() == "of the save"
    assert place.occupant().state == "stopped"


def test_the_phase_of_an_earlier_stop_is_ignored(place: Folder, start: Start) -> None:
    place.stopping_file.write_text("saving")
    stopped = stopping.end(place, start(IGNORES), Patience(signalled=1, saving=3600))
    assert "did not react" in stopped.loss
