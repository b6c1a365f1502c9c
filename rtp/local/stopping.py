"""Stopping an engine: it gets a signal, and is killed if it does not react. Its last save stays in any case."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rtp.errors import RtpError, WaitTimeoutError
from rtp.local import losses, process, saves
from rtp.text import suggest
from rtp.trust import private

if TYPE_CHECKING:
    from rtp.local.state import Folder, Record

Phase = Literal["signalled", "draining", "saving", "saved"]


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of the phases of a stop, in seconds. A stuck engine does not leave the first phase."""

    signalled: float = 30.0
    draining: float = 60.0
    saving: float = 600.0  # many records take long, and a save that is interrupted is lost
    saved: float = 10.0


PATIENCE = Patience()
_KILLED_S = 20.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Stopped:
    """An engine that was stopped. loss: a sentence about what is lost, if it was killed; else empty."""

    loss: str = ""


def end(place: Folder, record: Record, patience: Patience = PATIENCE) -> Stopped:
    """Stop the engine that serves the folder; needs the lock. Raises RtpError if it could not save its data."""
    place.stopping_file.unlink(missing_ok=True)
    process.terminate(record.pid, record.started)
    exceeded = _exceeded(place, record, patience)
    if exceeded is not None:
        process.kill_group(record.pid, record.started)
        if not process.wait_gone(record.pid, record.started, _KILLED_S):
            raise WaitTimeoutError(
                f"The local engine (process {record.pid}) still runs after a kill.",
                hint=suggest.sentence("See its state with {}.", suggest.command("ps", "-p", values=[record.pid])),
            )
    place.stopping_file.unlink(missing_ok=True)
    if place.record() is None:
        return Stopped()
    saves.discard_run(place)
    place.record_file.unlink(missing_ok=True)
    saved = saves.saved_at(place)
    if exceeded is None:
        raise RtpError(
            losses.unsaved(saved),
            hint=f"{losses.restart(saved)} The reason is in {place.log_file}.",
        )
    return Stopped(losses.forced(exceeded == "saving", saved))


def _exceeded(place: Folder, record: Record, patience: Patience) -> Phase | None:
    """Wait for the process to end; the phase that exceeded its limit, or None."""
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
    reported = ""
    with contextlib.suppress(FileNotFoundError):
        reported = place.stopping_file.read_text()
    return "saving" if reported == "saving" else "draining" if reported == "draining" else "signalled"


def report(place: Folder, phase: Phase) -> None:
    """Report the phase of the stop; called by the engine."""
    with contextlib.suppress(OSError):  # a full disk must not prevent the stop
        private.write(place.stopping_file, phase)


def end_soon(seconds: float) -> None:
    """End this process after `seconds` even if a thread never ends; called by the engine once everything is saved."""
    ending = threading.Timer(seconds, os._exit, (0,))
    ending.daemon = True
    ending.start()
