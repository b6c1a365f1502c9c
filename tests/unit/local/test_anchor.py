"""A path to an open folder stays right while the folder is moved, in child processes too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOVED = """
import os, subprocess, sys
from pathlib import Path
from rtp.local.anchor import anchored

shop = Path(sys.argv[1], "shop")
shop.mkdir()
(shop / "file").write_text("here")
path = anchored(os.open(shop, os.O_RDONLY))
shop.rename(shop.with_name("moved"))
shop.mkdir()
(shop / "file").write_text("of another")
sys.stdout.write((path / "file").read_text() + " ")
sys.stdout.flush()
subprocess.run(["cat", path / "file"], check=True)
"""


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs a system whose processes have paths to open files"
)
def test_the_path_stays_valid_when_the_folder_is_moved(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", MOVED, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout == "here here"
