"""The forked child of a save: it has the engine's memory of one moment and writes it, while the engine serves requests.

It shares nothing with the engine that it could disturb: it closes all descriptors (the lock of the folder, sockets,
pipes of functions), logs to its report, and ends by `_exit`. It never completes a save: that is the engine's part, so
that a child that outlives a killed engine changes nothing.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import signal
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rtp.local import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_REPORT_BYTES = 16_000
_NICE = 10  # requests come first


class OrphanedError(Exception):
    """The engine has ended."""


@dataclass(frozen=True, slots=True)
class Child:
    """A forked child.

    report: a descriptor from which is read why the child failed, the reason in the first line; it ends with the child.
    """

    pid: int
    report: int


def fork(write_all: Callable[[Callable[[], None]], None], locks: Iterable[Any]) -> Child:
    """Fork a child that runs `write_all` and exits with 0, or with 1 and a report. Raises OSError.

    write_all: gets a function to call again and again; it raises OrphanedError once the engine has ended.
    locks: held by this thread, and released in the child.
    """
    read, write = os.pipe()
    engine = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        raise
    if pid == 0:
        _run(write_all, locks, write, engine)
    os.close(write)
    return Child(pid, read)


def _run(write_all: Callable[[Callable[[], None]], None], locks: Iterable[Any], report: int, engine: int) -> NoReturn:
    code, text, lines = 1, "", io.StringIO()

    def check() -> None:
        if os.getppid() != engine:
            raise OrphanedError

    try:
        gc.disable()
        snapshot.current = None
        for lock in locks:
            lock.release()
        _detach(report, lines)
        write_all(check)
        code = 0
    except BaseException as error:  # nothing above this function may run in the child
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        text = f"{reason}\n{lines.getvalue()}{traceback.format_exc()}"
    finally:
        with contextlib.suppress(BaseException):
            os.write(report, text.encode(errors="replace")[:_REPORT_BYTES])
        os._exit(code)


def _detach(report: int, lines: io.StringIO) -> None:
    """Give up everything that is shared with the engine, except `report`."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    logging.root.handlers = [logging.StreamHandler(lines)]
    for descriptor in [int(path.name) for path in Path("/dev/fd").iterdir()]:
        if descriptor > 2 and descriptor != report:
            with contextlib.suppress(OSError):  # that of the list itself is closed
                os.close(descriptor)
    os.nice(_NICE)
