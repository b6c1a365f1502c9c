"""Ctrl-C and SIGTERM as a request to end well: the first lets what is under way finish, the second does not."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import ExitCode
from rtp.ops.work.pool import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

Notify = Callable[[str], None]


@dataclass(slots=True)
class Interruption:
    """Whether and how the operator broke in. stop: to be handed to the operation."""

    stop: Stop
    exit_code: ExitCode = ExitCode.OK

    def __bool__(self) -> bool:
        return self.exit_code is not ExitCode.OK


@contextmanager
def graceful(notify: Notify = lambda _: None) -> Iterator[Interruption]:
    """Within it no signal raises an exception, so nothing is left out of what the command reports afterwards."""
    state = Interruption(Stop())

    def handle(number: int, _frame: FrameType | None) -> None:
        if state:
            state.stop.abort.set()
            return
        state.exit_code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED
        state.stop.drain.set()
        notify("ending; what is under way is finished first (again: at once)")

    # A shell has what it runs in the background ignore Ctrl-C; that stays so.
    heard = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield state
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
