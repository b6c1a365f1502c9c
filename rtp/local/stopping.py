"""Ending an engine: it is asked first, and ended by force where it does not react; its last save stays in any case."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rtp.errors import RtpError, WaitTimeoutError
from rtp.local import losses, process, saves
from rtp.local.state import write_private
from rtp.text import suggest

if TYPE_CHECKING:
    from rtp.local.state import Folder, Record

Phase = Literal["asked", "draining", "saving", "saved"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds each phase of a stop may last. An engine that is stuck does not get out of the first one."""

    asked: float = 30.0
    draining: float = 60.0
    saving: float = 600.0  # of many records; what is cut short here is lost
    saved: float = 10.0


PATIENCE = Patience()
_KILLED_S = 20.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Stopped:
    """An engine that was stopped. loss: what its data lacks, in words, where it had to be ended by force."""

    loss: str = ""


def end(place: Folder, record: Record, patience: Patience = PATIENCE) -> Stopped:
    """Stop the engine that serves the folder; needs the lock. Raises RtpError where it could not save its data."""
    place.stopping_file.unlink(missing_ok=True)
    process.terminate(record.pid, record.started)
    forced = _outlasted(place, record, patience)
    if forced is not None:
        process.kill_group(record.pid, record.started)
        if not process.wait_gone(record.pid, record.started, _KILLED_S):
            raise WaitTimeoutError(
                f"the local engine (process {record.pid}) does not end though it has been killed",
                hint=suggest.sentence("see what holds it: {}", suggest.command("ps", "-p", values=[record.pid])),
            )
    place.stopping_file.unlink(missing_ok=True)
    if place.record() is None:
        return Stopped()
    saves.discard_run(place)
    place.record_file.unlink(missing_ok=True)
    saved = saves.saved_at(place)
    if forced is None:
        raise RtpError(
            f"the local engine could not save its data: {losses.killed(saved)}",
            hint=f"{losses.restart(saved)}; the reason is in {place.log_file}",
        )
    return Stopped(losses.forced(forced == "saving", saved))


def _outlasted(place: Folder, record: Record, patience: Patience) -> Phase | None:
    """Wait for the end; the phase that lasted too long, or None."""
    phase, since = _phase(place), time.monotonic()
    while process.alive(record.pid, record.started):
        now, current = time.monotonic(), _phase(place)
        if current != phase:
            phase, since = current, now
        if now - since > getattr(patience, phase):
            return phase
        time.sleep(_POLL_S)
    return None


def _phase(place: Folder) -> Phase:
    if not place.record_file.exists():
        return "saved"
    said = ""
    with contextlib.suppress(FileNotFoundError):
        said = place.stopping_file.read_text()
    return "saving" if said == "saving" else "draining" if said == "draining" else "asked"


def report(place: Folder, phase: Phase) -> None:
    """Say how far the stop is; by the engine."""
    with contextlib.suppress(OSError):  # a full disk must not keep it from trying
        write_private(place.stopping_file, phase)


def end_soon(seconds: float) -> None:
    """End this process by then, also where one of its threads never does; by the engine, once everything is saved."""
    ending = threading.Timer(seconds, os._exit, (0,))
    ending.daemon = True
    ending.start()
