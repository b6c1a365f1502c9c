"""The time axis of a trace: attempts side by side, each at its own scale, with gaps for the waits between. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.ops.telemetry.waterfall import bar
from rtp.text import times

if TYPE_CHECKING:
    from rtp.ops.telemetry.segments import Segment, Trace

_WAIT_MS = 500.0  # shorter pauses are no waits
_WAIT = 3  # columns of a wait
_LEAST = 2  # columns of an attempt, in columns of a wait


@dataclass(frozen=True, slots=True)
class Axis:
    """Where times stand in `width` columns. spans: attempts as (start, end) in ms from the trace's start, in order.

    wait: columns of a wait between two attempts.
    """

    spans: tuple[tuple[float, float], ...]
    width: int
    total_ms: float
    wait: int = _WAIT

    def place(self, offset_ms: float, duration_ms: float | None) -> tuple[int, int]:
        """Column and length of a bar: at least one column, within the width."""
        if len(self.spans) < 2:
            return bar(offset_ms, duration_ms, self.total_ms, self.width)
        first = min(self.width - 1, int(self._column(offset_ms)))
        end = self.width if duration_ms is None else self._column(offset_ms + duration_ms)
        return first, max(1, min(self.width - first, round(end - first)))

    def is_wait(self, column: int) -> bool:
        """Whether a column stands for a wait between two attempts."""
        return any(start <= column < start + self.wait for start in self._gaps())

    def begun(self, offset_ms: float) -> int:
        """How many attempts have begun at a time; one at least."""
        return max(1, sum(start <= offset_ms for start, _ in self.spans))

    def gap(self, n: int) -> tuple[int, int]:
        """Column and length of the wait after attempt `n`, from 0."""
        return self._gaps()[n], self.wait

    def parts(self) -> str:
        """How long each attempt is, and each wait between two; empty where there is one attempt."""
        if len(self.spans) < 2 or not self.width:
            return ""
        texts = [times.span(self.spans[0][1] - self.spans[0][0])]
        for wait, (start, end) in zip(self.waits(), self.spans[1:], strict=True):
            texts += [f"waits {times.span(wait)}", times.span(end - start)]
        return f"each part at its own scale: {' · '.join(texts)}"

    def waits(self) -> list[float]:
        """How long each wait is, ms."""
        return [after[0] - before[1] for before, after in zip(self.spans, self.spans[1:], strict=False)]

    def _columns(self) -> float:
        """Columns of one attempt."""
        return (self.width - self.wait * (len(self.spans) - 1)) / len(self.spans)

    def _gaps(self) -> list[int]:
        return [round(self._columns() * (n + 1) + self.wait * n) for n in range(len(self.spans) - 1)]

    def _column(self, ms: float) -> float:
        columns, base, before = self._columns(), 0.0, 0.0
        for start, end in self.spans:
            if ms < start:  # in the wait before this attempt
                return base - self.wait + self.wait * (ms - before) / (start - before) if base else 0.0
            if ms <= end:
                return base + columns * ((ms - start) / (end - start) if end > start else 0.0)
            base, before = base + columns + self.wait, end
        return float(self.width)


def axis(trace: Trace, width: int, wait: int = _WAIT) -> Axis:
    """The axis of a trace. The shortest waits count as parts of attempts where there is no room for all.

    wait: columns of a wait.
    """
    end = trace.duration_ms
    busy = sorted((s.offset_ms, end if s.duration_ms is None else s.offset_ms + s.duration_ms) for s in _busy(trace))
    spans: list[tuple[float, float]] = []
    for start, stop in busy:
        if spans and start - spans[-1][1] < _WAIT_MS:
            spans[-1] = (spans[-1][0], max(spans[-1][1], stop))
        else:
            spans.append((start, stop))
    while len(spans) > max(1, (width + wait) // ((_LEAST + 1) * wait)):
        n = min(range(1, len(spans)), key=lambda i: spans[i][0] - spans[i - 1][1])
        spans[n - 1 : n + 1] = [(spans[n - 1][0], spans[n][1])]
    return Axis(tuple(spans), width, end, wait)


def _busy(trace: Trace) -> list[Segment]:
    """The segments in which something runs: functions, and what calls nothing further; not a queue that waits."""
    return [s for _, s in trace.walk() if s.origin.startswith("AWS::Lambda") or not s.segments]
