"""Saves: the last complete one is there at any moment, whatever a save comes to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.local import saves
from rtp.local.state import Folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / ".rtp" / "local")
    made.create()
    return made


def write(place: Folder, content: str) -> None:
    """What an engine does while it runs: replace files as a whole."""
    for name in ("state/sqs.json", "s3/000000000000/bucket/raw/1"):
        path = place.live / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".new")
        draft.write_text(content)
        draft.replace(path)


def contents(folder: Path) -> set[str]:
    """The different contents of the files of a save; two mean that it is half of one and half of another."""
    names = ("state/sqs.json", "s3/000000000000/bucket/raw/1")
    return {(folder / name).read_text() for name in names}


def saved(place: Folder, content: str) -> None:
    saves.start(place)
    write(place, content)
    saves.complete(place)


def test_a_save_is_what_the_next_engine_starts_with(place: Folder) -> None:
    # Given
    assert saves.saved_at(place) is None
    saved(place, "first")
    # When
    saves.start(place)
    # Then
    assert contents(place.live) == {"first"}
    assert saves.saved_at(place)
    assert not place.previous.exists()


def test_nothing_that_an_engine_writes_or_removes_reaches_the_save(place: Folder) -> None:
    saved(place, "first")
    saves.start(place)
    write(place, "second")
    assert contents(place.data) == {"first"}
    shutil.rmtree(place.live / "s3")
    (place.live / "state" / "sqs.json").unlink()
    assert contents(place.data) == {"first"}


def test_a_file_that_is_written_in_place_is_no_link(place: Folder) -> None:
    saves.start(place)
    (place.live / "state").mkdir()
    (place.live / "state" / "key.pem").write_text("first")
    saves.complete(place)
    saves.start(place)
    (place.live / "state" / "key.pem").write_text("second")
    assert (place.data / "state" / "key.pem").read_text() == "first"


def test_without_a_complete_save_the_previous_one_stays(place: Folder) -> None:
    # Given an engine that died at work
    saved(place, "first")
    saves.start(place)
    write(place, "second")
    # When
    saves.discard_run(place)
    # Then
    assert not place.live.exists()
    assert contents(place.data) == {"first"}


KILLED_AT_EACH_STEP = """
import os, shutil, sys
from datetime import UTC, datetime
from pathlib import Path
from rtp.local import saves
from rtp.local.state import Folder

CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}
FILES = ("state/sqs.json", "s3/000000000000/bucket/raw/1")


def write(folder, content):
    for name in FILES:
        draft = folder / (name + ".new")
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(content)
        draft.rename(folder / name)


def save_until(step, place):
    left = [step]

    def end(event, args):
        if event in CHANGES:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)

    sys.addaudithook(end)
    if sys.argv[2] == "stop":
        saves.complete(place)
    else:
        saves.begin(place)
        shutil.copytree(place.live, place.draft, dirs_exist_ok=True)
        saves.flush(place.draft, place.data)
        saves.complete_draft(place, datetime.now(UTC), [])
    os._exit(0)


code, step = 9, 0
while code:
    place = Folder(Path(sys.argv[1], str(step)))
    place.create()
    for content in ("first", "second"):
        saves.start(place)
        write(place.live, content)
        if content == "first":
            saves.complete(place)
    child = os.fork() or save_until(step, place)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    known = saves.saved_at(place)
    saves.start(place)
    found = {(place.live / name).read_text() for name in FILES}
    left = place.previous.exists() or place.draft.exists()
    print(code, bool(known), left, *sorted(found))
    step += 1
"""


@pytest.mark.parametrize("when", ["stop", "run"])
def test_a_kill_at_any_step_of_a_save_leaves_a_complete_save(tmp_path: Path, when: str) -> None:
    # When a process is killed before each change that a save makes, until it comes to its end
    argv = [sys.executable, "-c", KILLED_AT_EACH_STEP, str(tmp_path), when]
    rows = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    # Then the next engine has all of the save before or all of the new one, which it has from some step on
    first = rows.count("9 True False first")
    assert rows[:first] == ["9 True False first"] * first
    assert set(rows[first:-1]) == {"9 True False second"}
    assert rows[-1] == "0 True False second"
    assert first > 5 and len(rows) > first + 3


def test_a_copy_made_during_a_save_is_not_a_complete_save(place: Folder) -> None:
    # Given a copy with a mark of completeness, whose other files were copied before they were written
    saved(place, "first")
    saves.start(place)
    write(place, "half")
    (place.live / "saved").write_text("2026-01-31T12:00:00+00:00\n")
    # When
    saves.discard_run(place, copied=True)
    # Then
    assert contents(place.data) == {"first"}
    assert saves.saved_at(place) != "2026-01-31T12:00:00+00:00"


def test_a_save_of_a_run_in_a_copied_folder_is_not_used(place: Folder) -> None:
    # Given a copy that was made during a save, with a mark of completeness
    saved(place, "first")
    saves.start(place)
    saves.begin(place)
    (place.draft / "saved").write_text("2026-01-31T12:00:00+00:00\n")
    assert saves.saved_at(place, copied=True) != "2026-01-31T12:00:00+00:00"
    # When
    saves.discard_run(place, copied=True)
    # Then
    assert contents(place.data) == {"first"}
    assert not place.draft.exists()


def test_a_stop_replaces_a_save_of_the_run_that_was_not_exchanged(place: Folder) -> None:
    saves.start(place)
    saves.begin(place)
    (place.draft / "saved").write_text("2026-01-31T12:00:00+00:00\n")
    write(place, "second")
    saves.complete(place)
    saves.start(place)
    assert contents(place.live) == {"second"}


def test_discard_leaves_the_port_alone(place: Folder) -> None:
    saved(place, "first")
    place.port_file.write_text("4566\n")
    saves.discard_run(place)
    saves.discard(place)
    assert not place.data.exists()
    assert place.last_port() == 4566


def test_where_files_cannot_be_linked_they_are_copied(place: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(place, "first")

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    saves.start(place)
    assert contents(place.live) == {"first"}
    assert (place.live / "state" / "sqs.json").stat().st_nlink == 1
