"""A command that goes on without end ends with whoever reads it, also while it has nothing to write."""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from rtp.errors import ReaderGoneError

if TYPE_CHECKING:
    from types import FrameType


def end_with_reader() -> None:
    """From here on a reader that goes away raises ReaderGoneError in the main thread: `rtp logs -f | grep -m1 x`."""
    from rtp.ops.work import background

    if sys.stdout.isatty() or not hasattr(select, "poll"):
        return
    signal.signal(signal.SIGPIPE, _gone)
    background.start(_watch, sys.stdout.fileno())


def _watch(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # poll always reports errors, such as a pipe whose other end is closed
    poll.poll()
    os.kill(os.getpid(), signal.SIGPIPE)


def _gone(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    raise ReaderGoneError
