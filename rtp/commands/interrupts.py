"""Ctrl-C and SIGTERM as requests to end: the first lets running requests finish, the second ends at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from rtp.ops.work.pool import Stop

Notify = Callable[[str], None]


@dataclass(slots=True)
class Interruption:
    """Whether the operator interrupted, and by which signal. stop: for the operation, which ends by it."""

    stop: Stop
    exit_code: ExitCode = ExitCode.OK

    def __bool__(self) -> bool:
        return self.exit_code is not ExitCode.OK


@contextmanager
def graceful(notify: Notify = lambda _: None) -> Iterator[Interruption]:
    """Set `stop` on a signal instead of raising, so that the command can still report the whole result."""
    from rtp.ops.work.pool import Stop

    state = Interruption(Stop())

    def handle(number: int, _frame: FrameType | None) -> None:
        if state:
            state.stop.abort.set()
            return
        state.exit_code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED
        state.stop.drain.set()
        notify("ending after the running requests; interrupt again to end at once")

    # A shell makes background processes ignore Ctrl-C, which stays so.
    handled = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in handled}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
