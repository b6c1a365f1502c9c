"""The lines of a log stream, the older ones compressed in blocks: a tenth of the memory, and hardly more to read.

CloudWatch Logs' code uses it as the list of events that it keeps otherwise.
"""

from __future__ import annotations

import base64
import contextlib
import heapq
import json
import threading
import zlib
from array import array
from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BLOCK = 500
MAX_EVENTS = 200_000  # in a stream; beyond it the oldest tenth is dropped
SAVED = "__lines__"  # a key of the saved form
Event = dict[str, Any]
_timestamp = itemgetter("timestamp")
_of_thread = threading.local()


class Lines:
    """Events in order of time. `append` and `drop_first` need the lock of the log; a read is one of a moment.

    size: characters of the messages.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._times = array("q")
        # How many events of the first block are dropped, the blocks, and the events that follow.
        self._state: tuple[int, list[bytes], list[Event]] = (0, [], [])
        self._read: tuple[bytes, list[Event]] = (b"", [])  # the block of a single event that was read last
        self.size = 0
        self._add(sorted(events, key=_timestamp))

    @classmethod
    def from_saved(cls, saved: dict[str, Any]) -> Lines:
        """From what `saved` gave. Raises ValueError, KeyError or zlib.error."""
        lines, blocks = cls(), [base64.b64decode(block) for block in saved[SAVED]]
        lines._times.frombytes(zlib.decompress(base64.b64decode(saved["times"])))
        lines._state = saved["skipped"], blocks[:-1], _unpacked(blocks[-1])
        lines.size = saved["size"]
        return lines

    def saved(self) -> dict[str, Any]:
        """For a saved state."""
        skipped, blocks, tail = self._state
        texts = [base64.b64encode(block).decode() for block in (*blocks, _packed(tail))]
        times = base64.b64encode(zlib.compress(self._times.tobytes(), 1)).decode()
        return {SAVED: texts, "times": times, "skipped": skipped, "size": self.size}

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[Event]:
        if getattr(_of_thread, "is_counting", False):
            return iter([{"message": range(self.size)}])
        return self.between(0, len(self))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            return list(self.between(start, stop))[::step] if step > 0 else list(self)[key]
        return _Line(self, range(len(self))[key])

    def __delitem__(self, key: slice) -> None:
        self.drop_first(len(range(*key.indices(len(self)))))

    def __deepcopy__(self, _: dict[int, Any]) -> Lines:
        copy = Lines()
        skipped, blocks, tail = self._state
        copy._state, copy._times, copy.size = (skipped, blocks, list(tail)), self._times[:], self.size
        return copy

    def first_from(self, time: int) -> int:
        """The number of the first event at this time or later."""
        return bisect_left(self._times, time)

    def first_after(self, time: int) -> int:
        """The number of the first event after this time."""
        return bisect_right(self._times, time)

    def time(self, number: int) -> int:
        """The time of an event."""
        return self._times[number]

    def event(self, number: int) -> Event:
        """One event."""
        skipped, blocks, tail = self._state
        at, within = divmod(number + skipped, BLOCK)
        if at >= len(blocks):
            return tail[number + skipped - len(blocks) * BLOCK]
        block, events = self._read
        if block is not blocks[at]:
            events = _unpacked(blocks[at])
            self._read = blocks[at], events
        return events[within]

    def between(self, low: int, high: int) -> Iterator[Event]:
        """The events of these numbers, as they are now, without the last."""
        skipped, blocks, tail = self._state
        low, high, sealed = low + skipped, high + skipped, len(blocks) * BLOCK
        first = low // BLOCK
        newest = tail[max(low - sealed, 0) : max(high - sealed, 0)]

        def read(some: Sequence[bytes]) -> Iterator[Event]:
            for number, block in enumerate(some, start=first):
                start = number * BLOCK
                yield from _unpacked(block)[max(low - start, 0) : high - start]
            yield from newest

        return read(blocks[first : -(-high // BLOCK)])

    def with_id(self, event_id: str) -> Event | None:
        """The event with this id, searched in all of them."""
        _, blocks, tail = self._state
        sought = event_id.encode()
        for block in (None, *blocks[::-1]):
            if block is None or sought in zlib.decompress(block):
                events = tail if block is None else _unpacked(block)
                found = next((event for event in events if event.get("eventId") == event_id), None)
                if found is not None:
                    return found
        return None

    def append(self, events: Iterable[Event]) -> None:
        """Add events, each at its time; later than those of the same time."""
        ordered = sorted(events, key=_timestamp)
        if not ordered:
            return
        at = self.first_after(ordered[0]["timestamp"])
        if at < len(self):
            later = list(self.between(at, len(self)))
            self._truncate(at)
            self.size -= _size(later)
            ordered = list(heapq.merge(later, ordered, key=_timestamp))
        self._add(ordered)

    def drop_first(self, count: int) -> None:
        """Drop the oldest events."""
        self.size -= _size(self.between(0, count))
        skipped, blocks, tail = self._state
        del self._times[:count]
        whole, skipped = divmod(skipped + count, BLOCK)
        if whole < len(blocks):
            self._state = skipped, blocks[whole:], tail
        else:
            self._state = 0, [], tail[skipped + (whole - len(blocks)) * BLOCK :]

    def _add(self, ordered: list[Event]) -> None:
        skipped, blocks, tail = self._state
        tail = [*tail, *ordered]
        blocks = list(blocks)
        sealed = len(tail) // BLOCK * BLOCK
        blocks += [_packed(tail[start : start + BLOCK]) for start in range(0, sealed, BLOCK)]
        self._state = skipped, blocks, tail[sealed:]
        self._times.extend(map(int, map(_timestamp, ordered)))
        self.size += _size(ordered)

    def _truncate(self, count: int) -> None:
        skipped, blocks, tail = self._state
        at = min((count + skipped) // BLOCK, len(blocks))
        events = _unpacked(blocks[at]) if at < len(blocks) else tail
        self._state = skipped, blocks[:at], events[: count + skipped - at * BLOCK]
        del self._times[count:]


class _Line:
    """One event, read when more than its time is asked for, as a search for a time never does."""

    __slots__ = ("_lines", "_number")

    def __init__(self, lines: Lines, number: int) -> None:
        self._lines = lines
        self._number = number

    def __getitem__(self, name: str) -> Any:
        return self._lines.time(self._number) if name == "timestamp" else self._lines.event(self._number)[name]

    def get(self, name: str, default: Any = None) -> Any:
        """As a dict's."""
        return self._lines.event(self._number).get(name, default)

    def keys(self) -> Any:
        """As a dict's."""
        return self._lines.event(self._number).keys()


def lines_of(stream: dict[str, Any]) -> Lines:
    """The lines of a stream, which are compressed from now on; needs the lock of the log."""
    events = stream["events"]
    if not isinstance(events, Lines):
        events = stream["events"] = Lines(events)
    return events


def between(events: Lines | list[Event], begin: int, end: int | None) -> Iterator[Event]:
    """The events from a time to another, both included. end: None for no end."""
    if isinstance(events, Lines):
        return events.between(events.first_from(begin), len(events) if end is None else events.first_after(end))
    low = bisect_left(events, begin, key=_timestamp)
    return iter(events[low : len(events) if end is None else bisect_right(events, end, key=_timestamp)])


@contextlib.contextmanager
def counting() -> Iterator[None]:
    """Within it, a stream is read as one event as long as all, by code that adds up the lengths of the messages."""
    _of_thread.is_counting = True
    try:
        yield
    finally:
        _of_thread.is_counting = False


def _size(events: Iterable[Event]) -> int:
    return sum(len(event.get("message", "")) for event in events)


def _packed(events: list[Event]) -> bytes:
    try:
        text = msgspec.json.encode(events)
    except (TypeError, ValueError, msgspec.MsgspecError):  # half a surrogate pair, which Python's own JSON keeps
        text = json.dumps(events).encode()
    return zlib.compress(text, 1)


def _unpacked(block: bytes) -> list[Event]:
    text = zlib.decompress(block)
    try:
        events: list[Event] = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        events = json.loads(text)
    return events
