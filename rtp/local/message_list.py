"""The messages of a queue, indexed: no operation reads the messages that it does not return.

MiniStack keeps a list. Its code appends to this one, iterates over it and removes from it in the same way. A message
without a group is kept as JSON text, a fifth of the memory, except between `take` or `with_handle` and `changed`.
"""

from __future__ import annotations

import heapq
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from rtp.local import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Message = dict[str, Any]
LOCK = threading.RLock()  # of every change to a queue's messages

POISON_RECEIVES = 3  # SQS excludes a message that was received more often from ApproximateAgeOfOldestMessage
_SPARE = 64  # outdated heap entries that are always tolerated

_Entry = tuple[float, int]  # a time, epoch s, and the number of a message
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Head(msgspec.Struct):
    """What is indexed of a saved message."""

    sent_at: float | None = None
    enqueued_at: float | None = None
    visible_at: float | None = None
    receive_count: int | None = None
    receipt_handle: str | None = None
    group_id: str | None = None


_head = msgspec.json.Decoder(_Head).decode


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

    @classmethod
    def from_json(cls, text: bytes | msgspec.Raw) -> Messages:
        """From the JSON of a list in a saved state. Raises msgspec.MsgspecError."""
        messages, now = cls(), time.time()
        for raw in _raw_list(text):
            head = _head(raw)
            number = messages._add(json_text.value(bytes(raw)) if head.group_id else bytes(raw), head)
            if head.receipt_handle is None and (head.visible_at or 0) <= now:
                messages._ready[number] = number
            else:
                messages._index(number, head)
        messages._ready_heap = [(number, number) for number in messages._ready]  # in order, and so a heap
        return messages

    def _clear(self) -> None:
        self._messages: dict[int, Message | bytes] = {}
        self._numbers: dict[int, int] = {}  # by id() of a message that is not text
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
            return map(json_text.value, list(self._messages.values()))

    def __deepcopy__(self, _: dict[int, Any]) -> list[Message]:
        """A list for the saved state. Parts of a message are replaced and never changed, so that they are shared."""
        return [dict(message) for message in self]

    def saved(self, *, raw: bool) -> list[Any]:
        """A list for a saved state. raw: for msgspec, with JSON text as it is."""
        with LOCK:
            return [json_text.saved(message, raw=raw) for message in self._messages.values()]

    def append(self, message: Message) -> None:
        """Add a message at the end."""
        with LOCK:
            head = _head_of(message)
            number = self._add(message, head)
            self._index(number, head)
            self._store(number, message)

    def remove(self, message: Message) -> None:
        """Remove a message, which may be a copy with its receipt handle. Raises ValueError if it is not there."""
        with LOCK:
            number = self._number(message)
            if number is None:
                raise ValueError("the message is not in the queue")
            self._drop(number)

    def clear(self) -> None:
        """Remove every message."""
        with LOCK:
            self._clear()

    def changed(self, message: Message) -> None:
        """Index a message again whose `visible_at`, `receive_count` or `receipt_handle` was changed, and store it."""
        with LOCK:
            number = self._number(message)
            if number is not None:
                self._index(number, _head_of(message))
                self._store(number, message)

    def with_handle(self, handle: str) -> Message | None:
        """The message with this receipt handle; who changes it calls `changed`."""
        with LOCK:
            number = self._handles.get(handle)
            return None if number is None else self._opened(number)

    def take(self, now: float) -> Message | None:
        """The first visible message, which is not taken again before `changed` is called with it."""
        with LOCK:
            self._promote(now)
            while self._ready_heap:
                position, number = heapq.heappop(self._ready_heap)
                if self._ready.get(number) == position:
                    del self._ready[number]
                    return self._opened(number)
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
                if message is not None and json_text.value(message).get("receive_count", 0) <= POISON_RECEIVES:
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

    def _add(self, message: Message | bytes, head: _Head) -> int:
        number = self._next
        self._next += 1
        self._messages[number] = message
        if not isinstance(message, bytes):
            self._numbers[id(message)] = number
        if head.sent_at:
            entry = (head.sent_at, number)
            heapq.heappush(self._sent, entry)
            heapq.heappush(self._enqueued, (head.enqueued_at, number) if head.enqueued_at else entry)
        return number

    def _number(self, message: Message) -> int | None:
        number = self._numbers.get(id(message))
        return self._handles.get(str(message.get("receipt_handle"))) if number is None else number

    def _opened(self, number: int) -> Message:
        """A message that may be changed until it is stored again."""
        stored = self._messages[number]
        if not isinstance(stored, bytes):
            return stored
        message: Message = json_text.value(stored)
        self._messages[number] = message
        self._numbers[id(message)] = number
        return message

    def _store(self, number: int, message: Message) -> None:
        before = self._messages[number]
        if not isinstance(before, bytes):
            self._numbers.pop(id(before), None)
        stored = message if message.get("group_id") else json_text.stored(message)
        self._messages[number] = stored
        if not isinstance(stored, bytes):
            self._numbers[id(stored)] = number

    def _index(self, number: int, head: _Head) -> None:
        self._unschedule(number)
        old, new = self._handle_of.get(number), head.receipt_handle
        if old != new:
            if old is not None:
                del self._handles[old], self._handle_of[number]
            if new is not None:
                self._handles[new] = number
                self._handle_of[number] = new
        at, received = head.visible_at or 0.0, bool(head.receive_count)
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
        if not isinstance(message, bytes):
            self._numbers.pop(id(message), None)
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


def _head_of(message: Message) -> _Head:
    sent_at, enqueued_at = message.get("sent_at"), message.get("enqueued_at")
    return _Head(
        float(sent_at) if sent_at else None,
        float(enqueued_at) if enqueued_at else None,
        float(message.get("visible_at") or 0),
        message.get("receive_count"),
        message.get("receipt_handle"),
    )


def with_lists(encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function for values that are not JSON's, by which messages are a list in a saved state; others as before."""

    def default(value: Any) -> Any:
        return value.saved(raw=False) if isinstance(value, Messages) else encode(value)

    return default
