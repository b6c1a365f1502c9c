"""Only folders that rtp made are deleted, and nothing that a link leads to."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from rtp.errors import ConfigError, RefusedError
from rtp.local import owned, saves
from rtp.local.state import Folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
OTHER = 65534


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    """The folder of an engine that has saved once."""
    made = Folder(tmp_path / "shop" / ".rtp" / "local")
    made.path.parents[1].mkdir()
    made.create()
    saves.start(made)
    saves.complete(made)
    made.create()
    return made


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder of the user's own, with names that an engine has too."""
    made = tmp_path / "theirs"
    for name in (".", "tmp", "home", "data", "live", "data.old", "local/tmp", "local/home", "local/data"):
        (made / name).mkdir(parents=True, exist_ok=True)
        (made / name / "precious").write_text("precious")
    return made


def files(folder: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in folder.rglob("*") if path.is_file()}


def instead(path: Path, target: Path) -> None:
    """Put a link where a folder or a file of the engine is."""
    if path.exists():
        path.rename(path.with_name(f"{path.name}.aside"))
    path.symlink_to(target)


PARTS: dict[str, Callable[[Folder], Path]] = {
    ".rtp": lambda place: place.path.parent,
    "local": lambda place: place.path,
    "data": lambda place: place.data,
    "live": lambda place: place.live,
    "data.old": lambda place: place.previous,
    "tmp": lambda place: place.tmp,
    "home": lambda place: place.home,
    "log": lambda place: place.log_file,
    "stderr": lambda place: place.stderr_file,
    "record": lambda place: place.record_file,
    "port": lambda place: place.port_file,
    "lock": lambda place: place.lock_file,
    "serving": lambda place: place.serving_file,
}


def test_a_folder_that_rtp_made_is_its_own(place: Folder) -> None:
    place.check()
    Folder(place.path.parents[2] / "none" / ".rtp" / "local").check()


@pytest.mark.parametrize("part", PARTS)
def test_a_link_is_refused_with_the_fix(place: Folder, theirs: Path, part: str) -> None:
    path = PARTS[part](place)
    instead(path, theirs)
    with pytest.raises(RefusedError, match="link") as caught:
        place.check()
    assert caught.value.code == "folder-is-link"
    assert f"`rm {path}`" in caught.value.hint
    assert str(theirs) in caught.value.message


@pytest.mark.parametrize("part", PARTS)
def test_a_dangling_link_is_refused_too(place: Folder, tmp_path: Path, part: str) -> None:
    instead(PARTS[part](place), tmp_path / "nothing")
    with pytest.raises(RefusedError, match="link"):
        place.check()


@pytest.mark.parametrize("part", [".rtp", "local", "data", "live", "tmp", "home"])
def test_nothing_is_deleted_through_a_link_that_was_made_after_the_check(
    place: Folder, theirs: Path, part: str
) -> None:
    before = files(theirs)
    instead(PARTS[part](place), theirs)
    for folder in (place.data, place.live, place.tmp, place.home):
        place.remove(folder)
    assert files(theirs) == before


def test_a_link_inside_a_folder_is_removed_and_its_target_stays(place: Folder, theirs: Path) -> None:
    before = files(theirs)
    (place.tmp / "link").symlink_to(theirs)
    (place.tmp / "below").mkdir()
    (place.tmp / "below" / "link").symlink_to(theirs)
    place.remove(place.tmp)
    assert not place.tmp.exists()
    assert files(theirs) == before


@AS_ROOT
@pytest.mark.parametrize("part", [".rtp", "local", "data", "tmp", "home", "log", "lock"])
def test_files_of_another_user_are_refused_with_the_fix(place: Folder, part: str) -> None:
    path = PARTS[part](place)
    path.touch() if part == "log" else None
    os.chown(path, OTHER, OTHER)
    with pytest.raises(RefusedError, match="another user") as caught:
        place.check()
    assert caught.value.code == "folder-of-another-user"
    assert "Run rtp as that user" in caught.value.hint


def test_a_folder_without_the_mark_is_refused_and_stays(place: Folder) -> None:
    # Given a folder of the user's where the engine has its own
    for folder in (place.data, place.live, place.previous, place.tmp, place.home):
        aside = folder.with_name("aside")
        if folder.exists():
            folder.rename(aside)
        folder.mkdir()
        (folder / "precious").write_text("precious")
        # When
        with pytest.raises(RefusedError) as caught:
            place.check()
        with pytest.raises(RefusedError):
            place.remove(folder)
        # Then
        assert caught.value.code == "folder-not-made-by-rtp"
        assert (folder / "precious").read_text() == "precious"
        (folder / "precious").unlink()
        folder.rmdir()
        if aside.exists():
            aside.rename(folder)


def test_a_folder_that_could_not_be_removed_keeps_the_mark(place: Folder) -> None:
    # Given a function that writes on while its folder is removed
    ended = threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            with contextlib.suppress(OSError):
                (place.tmp / str(number)).write_text("x")
                (place.tmp / str(number - 1)).unlink()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            # When
            place.remove(place.tmp)
            # Then it is gone, or can be removed the next time
            names = {path.name for path in place.tmp.iterdir()} if place.tmp.exists() else set()
            assert not names or owned.MARK in names
            place.create()
    finally:
        ended.set()
        writer.join()


def test_an_empty_folder_without_the_mark_is_accepted(place: Folder) -> None:
    place.remove(place.tmp)
    place.tmp.mkdir()
    place.check()
    place.create()
    assert (place.tmp / owned.MARK).exists()


def test_a_folder_that_cannot_be_read_is_an_error_of_the_machine(tmp_path: Path) -> None:
    place = Folder(tmp_path / ("x" * 300) / ".rtp" / "local")
    with pytest.raises(ConfigError) as caught:
        place.check()
    assert caught.value.code == "folder-not-readable"
