"""New lines of one log group, poll after poll: late ones included, none twice, in bounded memory. No IO, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws.logs import LogLine, Page
    from rtp.ops.work.background import Prefetch

OVERLAP_MS = 10_000  # read again at each poll: lines reach CloudWatch a few seconds late as a rule
LATE_MS = 300_000  # read again now and then: how late a line may be and still be found
SWEEP_MS = 15_000  # how often
MOST = 20_000  # lines read again at most; on a busy group the sweep reaches less far back


class Tail:
    """What of a log group has been shown, and from when to read next.

    fetch: the group's pages from a time on, epoch ms. A poll that fails midway costs nothing: the next one starts where
    it did. Times are the service's own where it tells them, so that this machine's clock may be wrong.
    """

    def __init__(self, fetch: Callable[[int], Prefetch[Page]], *, since: int, now: Callable[[], int]) -> None:
        self._fetch = fetch
        self._now = now
        self._horizon = since  # from here on every line shown is remembered
        self._polled: int | None = None  # when the last complete poll began
        self._swept = 0
        self._seen = Seen()

    def poll(self) -> Iterator[LogLine]:
        """Lines that are perhaps new, oldest first; `fresh` decides when one is about to be shown."""
        sweep = self._polled is None or self._now() - self._swept >= SWEEP_MS
        start = self._horizon if sweep or self._polled is None else max(self._horizon, self._polled - OVERLAP_MS)
        return self._lines(self._fetch(start), sweep=sweep)  # it fetches from now on, not from the first line asked for

    def fresh(self, line: LogLine) -> bool:
        """Whether a line has not been shown; it counts as shown from now on."""
        return self._seen.add(line.at, line.event_id)

    def _lines(self, pages: Prefetch[Page], *, sweep: bool) -> Iterator[LogLine]:
        asked = self._now()
        began: int | None = None
        try:
            for page in pages:
                began = page.server_ms if began is None else began
                yield from page.lines
        finally:
            pages.close()
        self._polled = asked if began is None else began
        self._swept = asked if sweep else self._swept
        self._forget()

    def _forget(self) -> None:
        polled = self._polled or 0
        reach = max(polled - LATE_MS, self._seen.reach(MOST))
        self._horizon = max(self._horizon, min(polled - OVERLAP_MS, reach))
        self._seen.forget(self._horizon)


class Seen:
    """Ids by the second of their line."""

    def __init__(self) -> None:
        self._seconds: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._seconds.values()))

    def add(self, at: int, event_id: str) -> bool:
        """Remember an id; False when it was known."""
        ids = self._seconds.setdefault(at // 1000, set())
        before = len(ids)
        ids.add(hash(event_id))
        return len(ids) > before

    def reach(self, most: int) -> int:
        """The earliest time, epoch ms, from which on at most so many ids are known."""
        total = 0
        for second in sorted(self._seconds, reverse=True):
            total += len(self._seconds[second])
            if total > most:
                return (second + 1) * 1000
        return 0

    def forget(self, before: int) -> None:
        """Drop whole seconds that end before a time, epoch ms."""
        for second in [s for s in self._seconds if (s + 1) * 1000 <= before]:
            del self._seconds[second]
