"""The commits between the last good release and the first bad one, and what is said where they are not known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.ops.triage import suspects
from tests.unit.deploy.test_kept import World, environment, keep, names
from tests.unit.ops.test_commits import git

if TYPE_CHECKING:
    from pathlib import Path


def read(world: World, tmp_path: Path, release: str) -> suspects.Suspects:
    made = replace(environment(tmp_path), processors=tmp_path / "app.py")
    return suspects.read(world.connected(), made, release)


def commit(tmp_path: Path, file: str, subject: str) -> None:
    (tmp_path / file).write_text(subject)
    git(tmp_path, "add", file)
    git(tmp_path, "commit", "-qm", subject)


def test_the_commits_of_the_project_between_two_releases_are_suspects(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    world = World()
    commit(tmp_path, "app.py", "Add it")
    keep(world, tmp_path, names(1))
    commit(tmp_path, "app.py", "Drop a currency")
    commit(tmp_path, "readme", "Explain it")
    keep(world, tmp_path, names(2))
    found = read(world, tmp_path, names(2))
    assert [(c.author, c.subject) for c in found.commits] == [("Ann", "Drop a currency")]
    assert names(1) in found.good and names(2) in found.bad and found.notes == []


def test_what_is_not_known_of_the_releases_is_said(tmp_path: Path) -> None:
    world = World()
    assert "not one of the last ten" in read(world, tmp_path, names(9)).notes[0]
    keep(world, tmp_path, names(1))
    assert "What ran before" in read(world, tmp_path, names(1)).notes[0]
    keep(world, tmp_path, names(2))
    found = read(world, tmp_path, names(2))
    assert found.commits == [] and "No commit is known of" in found.notes[0]


def test_a_release_of_uncommitted_changes_is_named(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    world = World()
    commit(tmp_path, "app.py", "Add it")
    keep(world, tmp_path, names(1))
    (tmp_path / "app.py").write_text("not committed")
    keep(world, tmp_path, names(2))
    (note,) = read(world, tmp_path, names(2)).notes
    assert "was deployed with changes that are in no commit" in note
