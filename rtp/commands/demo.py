"""rtp demo."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.commands.options import new_app
from rtp.errors import ExitCode, RtpError
from rtp.text import suggest
from rtp.text.elements import command, dim, good, line, name, next_step, strong
from rtp.text.times import span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from rtp.ops import demo as op
    from rtp.terminal.output import Output

app = new_app()


@app.command()
def demo() -> None:
    """Run a guided demonstration on a temporary engine."""
    from rtp.ops import demo as op
    from rtp.terminal.output import Output

    out = Output()
    began = time.monotonic()
    with _stage() as folder:
        op.prepare(folder)
        for number, step in enumerate(op.STORY, 1):
            out.say("", line(strong(f"{number}/{len(op.STORY)}  {step.title}")))
            if step.edit:
                step.edit(folder)
                out.say(line(dim("processors.py: "), dim(op.BUG), " -> ", name(op.FIX)))
            _play(out, folder, step)
    out.say("", line(good("done "), dim(f"in {span((time.monotonic() - began) * 1000)}; everything is deleted")))
    out.say(*next_step("next  ", suggest.literal("rtp docs tutorial"), "the same by your own hand, in ten minutes"))


def _play(out: Output, folder: Path, step: op.Step) -> None:
    typed = suggest.command("rtp", *step.command)
    if typed:
        out.say(line(dim("$ "), command(typed)))
    # The CLI itself runs, so that the demo shows what an operator would see.
    code = _run([sys.executable, "-m", "rtp", *step.command], folder)
    if code in (ExitCode.INTERRUPTED, -signal.SIGINT):
        raise KeyboardInterrupt
    if code not in step.expect:
        ended = suggest.sentence("{} ended", typed, otherwise="a command ended")
        raise RtpError(f"The demo stopped: {ended} with exit code {code}.")


def _run(argv: list[str], folder: Path) -> int:
    """Run a command to its end. A signal meanwhile takes effect after it, so that no process is orphaned."""
    received: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if number == signal.SIGTERM:  # Ctrl-C on a terminal reaches the command too
            for child in children:
                child.terminate()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # the command unblocks it once Python runs
        with subprocess.Popen(argv, cwd=folder, env=_environment()) as child:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            children.append(child)
            if signal.SIGTERM in received:  # before `note` could reach the child
                child.terminate()
            code = child.wait()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        signal.raise_signal(received[0])
    return code


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RTP_"))} | {"RTP_ENV": "local"}


@contextmanager
def _stage() -> Iterator[Path]:
    """A temporary folder with an engine; both are removed at the end, whatever happened."""
    folder = Path(tempfile.mkdtemp(prefix="rtp-demo-"))
    try:
        yield folder
    finally:
        # A second Ctrl-C must not leave an engine running; stopping is bounded in time.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        from rtp.local import engine

        engine.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)
