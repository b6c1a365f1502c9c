"""git's commits of a project: a real repository, and folders that are none."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from rtp.ops import commits

if TYPE_CHECKING:
    from pathlib import Path


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    return subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    for name in ("app.py", "readme"):
        (tmp_path / name).write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "First")
    return tmp_path


def test_the_commit_of_a_folder_says_whether_files_were_changed(root: Path) -> None:
    head = git(root, "rev-parse", "HEAD")
    assert commits.current(root) == head
    (root / "untracked").write_text("x")
    assert commits.current(root) == head
    (root / "app.py").write_text("2")
    assert commits.current(root) == f"{head}-dirty"


def test_the_commits_between_two_are_those_that_touch_the_paths(root: Path) -> None:
    good = commits.current(root)
    for file, subject in (("app.py", "Change it"), ("readme", "Explain it"), ("app.py", "Change it | again")):
        (root / file).write_text(subject)
        git(root, "commit", "-qam", subject)
    bad = commits.current(root) + "-dirty"
    found = commits.between(root, good, bad, [root / "app.py"])
    assert found is not None
    assert [(c.author, c.subject) for c in found] == [("Ann", "Change it | again"), ("Ann", "Change it")]


@pytest.mark.parametrize(
    ("date", "subject"),
    [("@253402300800 +0000", "x"), ("", "hides\u2028its\x0cline\x85"), ("@99999999999999 +0000", "x")],
)
def test_a_commit_of_any_date_and_text_is_listed(
    root: Path, monkeypatch: pytest.MonkeyPatch, date: str, subject: str
) -> None:
    good = commits.current(root)
    if date:
        monkeypatch.setenv("GIT_COMMITTER_DATE", date)
    git(root, "commit", "-q", "--allow-empty", "-m", subject)
    (found,) = commits.between(root, good, commits.current(root), []) or []
    assert (found.subject, bool(found.at)) == (subject, not date)


@pytest.mark.parametrize("name", ["", "HEAD", "--output=x", "0" * 40, "a" * 39])
def test_a_commit_that_is_none_is_not_known(root: Path, name: str) -> None:
    assert commits.between(root, name, commits.current(root), []) is None
    assert not (root / "x").exists()


def test_a_folder_without_a_repository_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commits.current(tmp_path) == ""
    assert commits.between(tmp_path, "a" * 40, "b" * 40, []) is None


def test_settings_of_the_repository_run_no_program(root: Path) -> None:
    git(root, "config", "core.fsmonitor", f"touch {root}/ran; false")
    git(root, "config", "core.pager", f"touch {root}/ran")
    for part in ("clean", "process"):
        git(root, "config", f"filter.a=b.c.{part}", f"touch {root}/ran; cat")
    git(root, "config", "filter.a=b.c.required", "true")
    (root / ".git" / "info" / "attributes").write_text("*.py filter=a=b.c\n")
    (root / "app.py").write_text("2")  # as long as before, so that git has to look into it
    commits.current(root)
    commits.between(root, commits.current(root), commits.current(root), [])
    assert not (root / "ran").exists()


@pytest.mark.parametrize("entry", ["", ".", "bin"])
def test_no_git_of_the_folder_runs(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str) -> None:
    """An empty entry of PATH, as `PATH=$MORE:$PATH` makes one, is the folder in which a program is started."""
    ran = tmp_path / "ran"
    (root / entry).mkdir(exist_ok=True)
    planted = root / entry / "git"
    planted.write_text(f"#!/bin/sh\ntouch {ran}\n")
    planted.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((entry, os.environ["PATH"])))
    assert commits.current(root) and not ran.exists()


def test_a_missing_object_is_fetched_by_no_program(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given a repository that misses an object, and settings by which git gets it from a remote with a program
    wrapper = tmp_path / "bin" / "git"  # git as it was before it knew GIT_NO_LAZY_FETCH
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nunset GIT_NO_LAZY_FETCH\nexec {shutil.which("git")} "$@"\n')
    wrapper.chmod(0o755)
    ran = tmp_path / "ran"
    for name, value in (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialClone", "origin"),
        ("remote.origin.url", str(root)),
        ("remote.origin.promisor", "true"),
        ("remote.origin.uploadpack", f"touch {ran}; git-upload-pack"),
    ):
        git(root, "config", name, value)
    tree = git(root, "rev-parse", "HEAD^{tree}")
    (root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    head = git(root, "rev-parse", "HEAD")
    # When rtp asks for the commit / Then no program ran
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    assert commits.current(root) == f"{head}-dirty"
    assert not ran.exists()
