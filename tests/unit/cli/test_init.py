"""What `rtp init` writes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.config import DEFAULT_PROJECT
from rtp.config.environments import resolve
from rtp.ops.scaffold import FILES, project_name, write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_folder_gets_a_project_that_resolves(tmp_path: Path) -> None:
    scaffolded = write(tmp_path / "Shop 1")
    assert sorted(scaffolded.written) == sorted(FILES)
    environment = resolve(cwd=tmp_path / "Shop 1", environ={})
    assert environment.project == "shop-1"
    assert environment.processors is not None
    for payload in (tmp_path / "Shop 1" / "payloads").iterdir():
        assert json.loads(payload.read_text())["type"] == "order.created"


def test_existing_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "processors.py").write_text("mine = 1\n")
    scaffolded = write(tmp_path)
    assert scaffolded.kept == ["processors.py"]
    assert (tmp_path / "processors.py").read_text() == "mine = 1\n"
    assert write(tmp_path).written == []


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("shop", "shop"),
        ("My Shop!", "my-shop"),
        ("2026-orders", "orders"),
        ("日本", DEFAULT_PROJECT),
        ("a" * 40, "a" * 20),
    ],
)
def test_the_project_is_named_after_its_folder(folder: str, project: str) -> None:
    assert project_name(folder) == project


@pytest.mark.slow
def test_the_scaffolded_test_passes_unchanged(tmp_path: Path) -> None:
    write(tmp_path)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    argv = [sys.executable, "-m", "rtp", "init", str(tmp_path / "file" / "shop")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
