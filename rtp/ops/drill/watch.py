"""Watch the stack's alarms during a drill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.contract import Alarm
from rtp.errors import RtpError
from rtp.ops.drill.report import DrillAlarm
from rtp.ops.telemetry import alarms
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import every
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws
    from rtp.contract import Names
    from rtp.ops.work.clock import Clock
    from rtp.ops.work.pool import Stop

_PAUSE_S, _LOCAL_PAUSE_S = 10.0, 0.5
_FIRING = "ALARM"
_CHANGES = 200


class Watch:
    """The alarms since the first message of a drill. expected: those that its fault fires surely.

    notes: what could not be read.
    """

    def __init__(self, aws: Aws, names: Names, expected: frozenset[Alarm], *, since_ms: int) -> None:
        self._aws, self._names, self._expected = aws, names, expected
        self._since_ms = since_ms - since_ms % 1000  # an engine gives these times in whole seconds
        self.notes: list[str] = []
        self._fired: dict[str, int] = {}  # name -> epoch ms
        self._before = self._firing()

    def wait(self, seconds: float, *, stop: Stop, clock: Clock = SYSTEM) -> Iterator[int]:
        """Poll until each expected alarm has fired or the time is over. Yields how many have, after each poll."""
        missing = {self._names.alarm(alarm) for alarm in self._expected} - self._before.keys()
        pause = _LOCAL_PAUSE_S if self._aws.local else _PAUSE_S
        for _ in every(pause, timeout_s=seconds, stop=stop, clock=clock):
            self._fired |= {name: at for name, at in self._firing().items() if name not in self._before}
            yield len(missing & self._fired.keys())
            if missing <= self._fired.keys():
                return

    def result(self) -> list[DrillAlarm]:
        """The alarms that were expected, and those that fired without."""
        self._read_history()
        found = []
        for alarm in Alarm:
            name, is_expected = self._names.alarm(alarm), alarm in self._expected
            at = self._fired.get(name)
            if at is not None:
                after_s = round(max(0, at - self._since_ms) / 1000, 1)
                found.append(DrillAlarm(alarm.value, is_expected, "fired", times.iso(at), after_s))
            elif is_expected:
                found.append(DrillAlarm(alarm.value, True, "before" if name in self._before else "silent"))
        return found

    def _firing(self) -> dict[str, int]:
        """The alarms that fire now, with the time since when."""
        try:
            current = alarms.current(self._aws, self._names)
        except RtpError as error:
            self._note(error)
            return {}
        now = times.now_ms()
        return {a.name: times.ms(a.since) if a.since else now for a in current if a.state == _FIRING}

    def _read_history(self) -> None:
        """Find alarms that fired and are OK again."""
        try:
            history = alarms.read(self._aws, self._names, since=self._since_ms, limit=_CHANGES).history
        except RtpError as error:
            self._note(error)
            return
        for change in history:  # the newest first
            if change.after == _FIRING and change.alarm not in self._before:
                self._fired[change.alarm] = times.ms(change.at)

    def _note(self, error: RtpError) -> None:
        note = f"the alarms could not be read: {error.message}"
        if note not in self.notes:
            self.notes.append(note)
