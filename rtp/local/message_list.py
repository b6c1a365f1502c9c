"""The messages of a queue, indexed: no operation reads the messages that it does not return.

MiniStack keeps a list. Its code appends to this one, iterates over it and removes from it in the same way.
"""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Message = dict[str, Any]
LOCK = threading.RLock()  # of every change to a queue's messages

POISON_RECEIVES = 3  # SQS excludes a message that was received more often from ApproximateAgeOfOldestMessage
_SPARE = 64  # outdated heap entries that are always tolerated

_Entry = tuple[float, int]  # a time, epoch s, and the number of a message


class Counts(NamedTuple):
    """How many messages are visible, received and not deleted yet, and not visible yet for the first time."""

    visible: int
    in_flight: int
    delayed: int


class Messages:
    """Messages in order of arrival. Every one is either ready to be received, or hidden until its `visible_at`.

    Who changes a message's `visible_at` or `receipt_handle` calls `changed` afterwards. Heaps keep outdated entries,
    which are skipped, until there are more of them than messages.
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._next = 0
        self._clear()
        for message in messages:
            self.append(message)

    def _clear(self) -> None:
        self._messages: dict[int, Message] = {}
        self._numbers: dict[int, int] = {}  # by id() of the message
        self._handles: dict[str, int] = {}
        self._handle_of: dict[int, str] = {}
        self._hidden: dict[int, tuple[float, bool]] = {}  # until when, and whether it was received
        self._delayed = 0  # of the hidden: those that were never received
        self._ready: dict[int, int] = {}  # number -> position, which is the number unless the order was changed
        self._hidden_heap: list[_Entry] = []
        self._ready_heap: list[tuple[int, int]] = []  # position and number
        self._sent: list[_Entry] = []
        self._enqueued: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        with LOCK:
            return iter(list(self._messages.values()))

    def __deepcopy__(self, _: dict[int, Any]) -> list[Message]:
        """A list for the saved state. Parts of a message are replaced and never changed, so that they are shared."""
        return [dict(message) for message in self]

    def append(self, message: Message) -> None:
        """Add a message at the end."""
        with LOCK:
            number = self._next
            self._next += 1
            self._messages[number] = message
            self._numbers[id(message)] = number
            sent_at = message.get("sent_at")
            if sent_at:
                entry = (float(sent_at), number)
                enqueued_at = message.get("enqueued_at")
                heapq.heappush(self._sent, entry)
                heapq.heappush(self._enqueued, (float(enqueued_at), number) if enqueued_at else entry)
            self._index(number, message)

    def remove(self, message: Message) -> None:
        """Remove a message, which may be a copy with its receipt handle. Raises ValueError if it is not there."""
        with LOCK:
            number = self._numbers.get(id(message))
            if number is None:
                number = self._handles.get(str(message.get("receipt_handle")))
            if number is None:
                raise ValueError("the message is not in the queue")
            self._drop(number)

    def clear(self) -> None:
        """Remove every message."""
        with LOCK:
            self._clear()

    def changed(self, message: Message) -> None:
        """Index a message again whose `visible_at`, `receive_count` or `receipt_handle` was changed."""
        with LOCK:
            number = self._numbers.get(id(message))
            if number is not None:
                self._index(number, message)

    def with_handle(self, handle: str) -> Message | None:
        """The message with this receipt handle."""
        with LOCK:
            number = self._handles.get(handle)
            return None if number is None else self._messages[number]

    def take(self, now: float) -> Message | None:
        """The first visible message, which is not taken again before `changed` is called with it."""
        with LOCK:
            self._promote(now)
            while self._ready_heap:
                position, number = heapq.heappop(self._ready_heap)
                if self._ready.get(number) == position:
                    del self._ready[number]
                    return self._messages[number]
        return None

    def counts(self, now: float) -> Counts:
        """Approximate numbers of messages, as SQS has them."""
        with LOCK:
            self._promote(now)
            hidden = len(self._hidden)
            return Counts(len(self._messages) - hidden, hidden - self._delayed, self._delayed)

    def oldest(self) -> float | None:
        """When the oldest message was sent that was not received too often, epoch s; None without one."""
        with LOCK:
            while self._sent:
                at, number = self._sent[0]
                message = self._messages.get(number)
                if message is not None and message.get("receive_count", 0) <= POISON_RECEIVES:
                    return at
                heapq.heappop(self._sent)
        return None

    def expire(self, before: float) -> None:
        """Remove the messages that were enqueued at this time (epoch s) or earlier."""
        with LOCK:
            while self._enqueued and self._enqueued[0][0] <= before:
                number = heapq.heappop(self._enqueued)[1]
                if number in self._messages:
                    self._drop(number)

    def shuffle(self, count: int, shuffle: Callable[[list[int]], None], now: float) -> None:
        """Change the order of the first `count` visible messages."""
        with LOCK:
            self._promote(now)
            first: list[tuple[int, int]] = []
            while self._ready_heap and len(first) < count:
                position, number = heapq.heappop(self._ready_heap)
                if self._ready.get(number) == position:
                    first.append((position, number))
            numbers = [number for _, number in first]
            shuffle(numbers)
            for (position, _), number in zip(first, numbers, strict=True):
                self._ready[number] = position
                heapq.heappush(self._ready_heap, (position, number))

    def _index(self, number: int, message: Message) -> None:
        self._unschedule(number)
        old, new = self._handle_of.get(number), message.get("receipt_handle")
        if old != new:
            if old is not None:
                del self._handles[old], self._handle_of[number]
            if new is not None:
                self._handles[new] = number
                self._handle_of[number] = new
        at, received = float(message.get("visible_at") or 0), bool(message.get("receive_count"))
        self._hidden[number] = (at, received)
        self._delayed += not received
        heapq.heappush(self._hidden_heap, (at, number))
        self._compact()

    def _unschedule(self, number: int) -> None:
        self._ready.pop(number, None)
        hidden = self._hidden.pop(number, None)
        if hidden is not None:
            self._delayed -= not hidden[1]

    def _promote(self, now: float) -> None:
        """Make ready what is hidden no longer."""
        while self._hidden_heap and self._hidden_heap[0][0] <= now:
            at, number = heapq.heappop(self._hidden_heap)
            if self._hidden.get(number, (None,))[0] == at:
                self._unschedule(number)
                self._ready[number] = number
                heapq.heappush(self._ready_heap, (number, number))

    def _drop(self, number: int) -> None:
        message = self._messages.pop(number)
        del self._numbers[id(message)]
        self._unschedule(number)
        handle = self._handle_of.pop(number, None)
        if handle is not None:
            del self._handles[handle]
        self._compact()

    def _compact(self) -> None:
        """Remove outdated entries from the heaps where they are more than the messages."""
        most = 2 * len(self._messages) + _SPARE
        if len(self._hidden_heap) > most:
            self._hidden_heap = [(at, number) for number, (at, _) in self._hidden.items()]
            heapq.heapify(self._hidden_heap)
        if len(self._ready_heap) > most:
            self._ready_heap = [(position, number) for number, position in self._ready.items()]
            heapq.heapify(self._ready_heap)
        for name in ("_sent", "_enqueued"):
            heap = getattr(self, name)
            if len(heap) > most:
                entries = [entry for entry in heap if entry[1] in self._messages]
                heapq.heapify(entries)
                setattr(self, name, entries)


def messages_of(queue: dict[str, Any]) -> Messages:
    """The messages of a queue, which are indexed from now on."""
    messages = queue["messages"]
    if isinstance(messages, Messages):
        return messages
    with LOCK:
        if not isinstance(queue["messages"], Messages):
            queue["messages"] = Messages(queue["messages"])
        indexed: Messages = queue["messages"]
        return indexed


def with_lists(encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function for values that are not JSON's, by which messages are a list in a saved state; others as before."""

    def default(value: Any) -> Any:
        return list(value) if isinstance(value, Messages) else encode(value)

    return default
