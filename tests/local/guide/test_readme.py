"""README's quick start does what it says, line by line as a person would type it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
INSTALL = ["python3 -m venv .venv && . .venv/bin/activate", "pip install '.[local]'"]


def quick_start() -> list[str]:
    section = (ROOT / "README.md").read_text().split("## Quick start")[1].split("\n## ")[0]
    block = re.search(r"```console\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [row.removeprefix("$ ") for row in block.group(1).splitlines()]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    # What the lines themselves did not end, when one of them failed.
    subprocess.run([sys.executable, "-m", "rtp", "local", "stop"], cwd=tmp_path / "shop", timeout=180, check=False)


def test_the_quick_start_works(home: Path) -> None:
    lines = quick_start()
    assert lines[:2] == INSTALL  # done for this interpreter by make
    script = "\n".join(lines[2:])
    environ = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}
    environ.pop("RTP_ENV", None)
    done = subprocess.run(
        ["bash", "-ex", "-c", script],
        cwd=home,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "order.created" in done.stdout
    assert "Traceback" not in done.stderr
    assert not list((home / "shop" / ".rtp" / "local").glob("*.pid"))
