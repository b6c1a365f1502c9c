"""Tests that share a fixture run in one worker; otherwise each worker would make one of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MODULE = """
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared():
    pass


@pytest.mark.parametrize("number", range(8))
def test_worker(number, shared):
    Path(__file__).with_name(f"worker-{os.environ['PYTEST_XDIST_WORKER']}").touch()
"""


@pytest.mark.slow
def test_a_group_stays_in_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_group.py").write_text(_MODULE)
    command = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "-p", "tests.conftest"]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
    assert len(list(tmp_path.glob("worker-*"))) == 1
