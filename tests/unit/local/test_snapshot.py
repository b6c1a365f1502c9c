"""The files of one moment: S3 goes on changing its files while they are collected, and none of that is in them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.local import saves, snapshot
from rtp.local.snapshot import Snapshot, collect

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [f"000000000000/{bucket}/{prefix}/{n}" for bucket in "ab" for prefix in ("raw", "raw/old") for n in range(4)]


class Store:
    """Files that are written, replaced and deleted as S3 does it; each change is reported before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.taking: Snapshot | None = None

    def put(self, key: str, content: str) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        self._keep(path)
        draft = path.with_name(f"{path.name}.tmp")
        draft.write_text(content)
        draft.replace(path)

    def delete(self, key: str) -> None:
        self._keep(self.root / key)
        (self.root / key).unlink(missing_ok=True)

    def contents(self) -> dict[str, str]:
        return contents(self.root)

    def _keep(self, path: Path) -> None:
        if self.taking is not None:
            self.taking.keep(str(path))


def contents(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    s3 = Store(tmp_path / "live")
    for key in KEYS:
        s3.put(key, "first")
    return s3


@pytest.fixture(params=["links", "copies"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of taking a file; some file systems refuse links."""

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if request.param == "copies":
        monkeypatch.setattr(os, "link", refused)
    return str(request.param)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.usefixtures("way")
def test_changes_before_each_file_is_collected_are_not_in_the_snapshot(
    store: Store, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given
    chance = random.Random(seed)  # noqa: S311
    target = tmp_path / "draft"
    target.mkdir()
    files = Snapshot(store.root, target)
    moment = store.contents()
    store.taking = files

    def change() -> None:
        for _ in range(3):
            key = chance.choice([*KEYS, "000000000000/new/1", "000000000000/a/raw/new/2", "000000000000/a/raw/9"])
            store.delete(key) if chance.random() < 0.4 else store.put(key, f"later {chance.random()}")

    # When files change before each step of the collection
    monkeypatch.setattr(snapshot, "_CHECK_EVERY", 1)
    collect(store.root, target, change)
    files.remove_created()
    # Then
    assert store.contents() != moment
    assert contents(target) == moment
    assert files.error is None
    assert all(any(folder.iterdir()) for folder in target.rglob("*") if folder.is_dir()), "S3 takes it for a bucket"


@pytest.mark.usefixtures("way")
def test_a_deleted_folder_is_kept(store: Store, tmp_path: Path) -> None:
    import shutil

    target = tmp_path / "draft"
    files = Snapshot(store.root, target)
    moment = store.contents()
    files.keep_below(store.root / "000000000000" / "a")
    shutil.rmtree(store.root / "000000000000" / "a")
    collect(store.root, target, lambda: None)
    assert contents(target) == moment


def test_a_file_that_is_being_written_is_not_collected(store: Store, tmp_path: Path) -> None:
    moment = store.contents()
    (store.root / f"{KEYS[0]}.tmp").write_text("half")
    collect(store.root, tmp_path / "draft", lambda: None)
    assert contents(tmp_path / "draft") == moment


def test_the_folders_to_flush_are_those_that_are_left(tmp_path: Path) -> None:
    # Given a bucket whose first objects appear, below two prefixes, while it is collected
    root, target = tmp_path / "live", tmp_path / "draft"
    root.mkdir()
    files = Snapshot(root, target)
    for key in ("bucket/processed/2026/a.gz", "bucket/raw/2026/b.gz"):
        files.keep(str(root / key))
        (root / key).parent.mkdir(parents=True)
        (root / key).write_text("later")
    collect(root, target, lambda: None)
    # When
    changed = files.remove_created()
    # Then
    assert changed == [target]
    assert contents(target) == {}
    saves._flush_all(changed)


def test_what_cannot_be_kept_is_an_error_of_the_snapshot_and_not_of_the_request(store: Store, tmp_path: Path) -> None:
    (tmp_path / "draft").write_text("not a folder")
    outside = Snapshot(store.root, tmp_path / "other")
    outside.keep(str(tmp_path / "elsewhere"))
    assert outside.error is not None
    store.taking = Snapshot(store.root, tmp_path / "draft")
    store.put(KEYS[0], "second")
    assert store.taking.error is not None
    assert store.contents()[KEYS[0]] == "second"


CHANGES = """
import asyncio, json, sys
from pathlib import Path
import ministack.app
from ministack.services import s3
from rtp.local import snapshot
from rtp.local.patches import snapshots
from rtp.local.telemetry import Telemetry

if sys.argv[1] == "with":
    snapshots.install(Telemetry())

def call(method, path, body=b"", **query):
    headers = {"host": "localhost"}
    answer = asyncio.run(s3.handle_request(method, path, headers, body, {k: [v] for k, v in query.items()}))
    assert answer[0] < 300, answer

versioned = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
for bucket in ("kept", "versions", "empty"):
    call("PUT", f"/{bucket}")
call("PUT", "/versions", versioned, versioning="")
for key in ("changed", "deleted"):
    call("PUT", f"/kept/{key}", b"first")
    call("PUT", f"/versions/{key}", b"first")

root, target = Path(s3.DATA_DIR), Path("draft")
def contents(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
moment = contents(root)
snapshot.current = files = snapshot.Snapshot(root, target)
for bucket in ("kept", "versions"):
    call("PUT", f"/{bucket}/changed", b"second")
    call("PUT", f"/{bucket}/new", b"second")
    call("DELETE", f"/{bucket}/deleted")
call("DELETE", "/empty")
snapshot.collect(root, target, lambda: None)
files.remove_created()
print(json.dumps([len(moment), contents(root) != moment, contents(target) == moment]))
"""


def s3_changes(tmp_path: Path, patch: str) -> list[object]:
    """Objects are changed while a snapshot is taken: number of files, whether they changed, whether it is right."""
    environ = {**os.environ, "S3_PERSIST": "1", "S3_DATA_DIR": "live/s3", "STATE_DIR": "live/state"}
    argv = [sys.executable, "-c", CHANGES, patch]
    run = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    answer: list[object] = json.loads(run.stdout.splitlines()[-1])
    return answer


def test_s3_reports_every_file_before_it_changes(tmp_path: Path) -> None:
    assert s3_changes(tmp_path, "with") == [8, True, True]


def test_a_snapshot_without_the_reports_of_s3_mixes_two_moments(tmp_path: Path) -> None:
    assert s3_changes(tmp_path, "without") == [8, True, False]
