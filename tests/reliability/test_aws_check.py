"""All of `make aws-check` against the engine, in good and bad weather, and interrupted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from checks.aws import results

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.reliability


def arguments(out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "checks.aws", "--engine", "--yes", "--out", str(out), *more]


@pytest.mark.parametrize("weather", [[], ["--weather", "1"], ["--weather", "2"]], ids=["good", "1", "2"])
def test_every_step_passes_or_says_why_it_needs_an_account(tmp_path: Path, weather: list[str]) -> None:
    out = tmp_path / "results.json"
    done = subprocess.run(arguments(out, *weather), cwd=ROOT, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = results.load(out)
    assert report is not None and report.gone
    assert {result.outcome for result in report.results} == {"passed", "skipped"}
    assert all(result.detail for result in report.results)


@pytest.mark.parametrize("step", ["deploy", "events", "destroy"])
def test_two_interrupts_leave_nothing(tmp_path: Path, step: str) -> None:
    out = tmp_path / "results.json"
    child = subprocess.Popen(arguments(out), cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith(f"         {step}:"):
            break
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=1800)
    assert child.returncode == 130, rest
    report = results.load(out)
    assert report is not None and report.gone, rest
