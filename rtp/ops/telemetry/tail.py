"""New lines of one log group by repeated polls: late ones included, none twice, in bounded memory. No IO, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws.logs import LogLine, Page
    from rtp.ops.work.background import Prefetch

OVERLAP_MS = 10_000  # every poll reads this far back: lines usually reach CloudWatch a few seconds late
LATE_MS = 300_000  # a sweep reads this far back: how late a line may be and still be shown
SWEEP_MS = 15_000  # time between sweeps
MOST = 20_000  # lines that a sweep reads; on a busy group it reaches less far back


class Tail:
    """Which lines of a log group were shown, and where to read next.

    fetch: returns the group's pages from a time on, epoch ms. After a poll that failed, the next one starts at the same
    time. Uses the service's clock where it is reported, so this machine's may be wrong.
    """

    def __init__(self, fetch: Callable[[int], Prefetch[Page]], *, since: int, now: Callable[[], int]) -> None:
        self._fetch = fetch
        self._now = now
        self._horizon = since  # ids of shown lines are remembered from here on
        self._age = max(0, now() - since)  # of the first line to show, by this machine's clock
        self._polled: int | None = None  # when the last complete poll began
        self._swept = 0
        self._seen = Seen()

    def poll(self) -> Iterator[LogLine]:
        """Lines that may be new, oldest first; call `is_new` before showing one."""
        sweep = self._polled is None or self._now() - self._swept >= SWEEP_MS
        start = self._horizon if sweep or self._polled is None else max(self._horizon, self._polled - OVERLAP_MS)
        return self._lines(self._fetch(start), sweep=sweep)  # begins to fetch now, before the first line is read

    def is_new(self, line: LogLine) -> bool:
        """Whether a line was not shown yet; it counts as shown from now on."""
        return self._seen.add(line.at, line.event_id)

    def _lines(self, pages: Prefetch[Page], *, sweep: bool) -> Iterator[LogLine]:
        started = self._now()
        began: int | None = None
        try:
            for page in pages:
                began = page.server_ms if began is None else began
                yield from page.lines
        finally:
            pages.close()
        if self._polled is None and began is not None and self._horizon > began:
            self._horizon = began - self._age  # this machine's clock is ahead: nothing would be shown until then
        self._polled = started if began is None else began
        self._swept = started if sweep else self._swept
        self._forget()

    def _forget(self) -> None:
        polled = self._polled or 0
        reach = max(polled - LATE_MS, self._seen.reach(MOST))
        self._horizon = max(self._horizon, min(polled - OVERLAP_MS, reach))
        self._seen.forget(self._horizon)


class Seen:
    """Ids of shown lines, by second."""

    def __init__(self) -> None:
        self._seconds: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._seconds.values()))

    def add(self, at: int, event_id: str) -> bool:
        """Add an id; returns whether it is new."""
        ids = self._seconds.setdefault(at // 1000, set())
        before = len(ids)
        ids.add(hash(event_id))
        return len(ids) > before

    def reach(self, most: int) -> int:
        """The earliest time, epoch ms, since which at most `most` ids were added."""
        total = 0
        for second in sorted(self._seconds, reverse=True):
            total += len(self._seconds[second])
            if total > most:
                return (second + 1) * 1000
        return 0

    def forget(self, before: int) -> None:
        """Remove the ids of seconds that end before a time, epoch ms."""
        for second in [s for s in self._seconds if (s + 1) * 1000 <= before]:
            del self._seconds[second]
