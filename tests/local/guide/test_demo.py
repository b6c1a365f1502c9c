"""`rtp demo` tells the whole story and leaves nothing behind, also when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rtp.ops import demo
from tests.local.watch.conftest import until


def start(tmp: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rtp", "demo"],
        env=os.environ | {"TMPDIR": str(tmp)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def processes_of(tmp: Path) -> list[str]:
    """Command lines and working folders, of any process, that name the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            about = (process / "cmdline").read_text() + " " + str((process / "cwd").readlink())
        except OSError:
            continue
        if str(tmp) in about:
            found.append(about)
    return found


def test_a_command_that_is_interrupted_before_python_is_up_says_nothing() -> None:
    # Given a start as the demo's, and Ctrl-C at once
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        argv = [sys.executable, "-m", "rtp", "local", "logs", "--follow"]
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    child.send_signal(signal.SIGINT)

    told, _ = child.communicate(timeout=180)

    assert (child.returncode, told) == (-signal.SIGINT, b"")


@pytest.mark.long  # `.ci/run` runs the demo itself
def test_the_whole_story(tmp_path: Path) -> None:
    with start(tmp_path) as story:
        told, _ = story.communicate(timeout=240)
    assert story.returncode == 0, told
    for step in demo.STORY:
        assert "$ rtp " + " ".join(step.command) in told
    assert "total_cents" in told
    assert "Traceback" not in told.split("dlq inspect")[1]
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("when", "what"),
    [
        ("$ rtp deploy", signal.SIGINT),
        pytest.param("$ rtp logs", signal.SIGTERM, marks=pytest.mark.long),
        pytest.param("$ rtp logs", signal.SIGINT, marks=pytest.mark.reliability),
        pytest.param("$ rtp deploy", signal.SIGTERM, marks=pytest.mark.reliability),
    ],
)
def test_an_interrupted_demo_leaves_nothing(tmp_path: Path, when: str, what: signal.Signals) -> None:
    with start(tmp_path) as story:
        assert story.stdout is not None
        for row in story.stdout:
            if row.startswith(when):
                break
        next(story.stdout)  # the command speaks: Python itself is up, and what interrupts now interrupts rtp
        # A terminal's Ctrl-C reaches the whole group; a supervisor's SIGTERM only the demo itself.
        if what is signal.SIGINT:
            os.killpg(story.pid, what)
        else:
            story.send_signal(what)
        rest = story.stdout.read()
        code = story.wait(180)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143}[what], rest
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []
    # An engine whose start was interrupted ends once it finds its folder gone
    until(lambda: processes_of(tmp_path) == [], seconds=60)
