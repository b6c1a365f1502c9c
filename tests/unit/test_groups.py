"""Tests that share a fixture run in one worker; otherwise each worker would deploy a pipeline of its own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_MODULE = """
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(8))
def test_worker(number):
    Path(__file__).with_name(f"worker-{os.environ['PYTEST_XDIST_WORKER']}").touch()
"""


@pytest.mark.slow
def test_a_group_stays_in_one_worker(tmp_path: Path) -> None:
    (tmp_path / "test_group.py").write_text(_MODULE)
    command = ["-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider", "--rootdir"]
    subprocess.run([sys.executable, *command, tmp_path, tmp_path], check=True, capture_output=True)
    assert len(list(tmp_path.glob("worker-*"))) == 1
