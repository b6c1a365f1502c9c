"""Standard queues deliver a message at least once, in any order; to the poller of an event source too."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from rtp.local.message_list import LOCK, messages_of
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

_CHANCE_NOT_DELETED = 0.03
_CHANCE_STILL_VISIBLE = 0.02
_VISIBLE_AFTER_S = 1.0
_REMEMBERED = 10_000
_WINDOW = 30  # messages from the head of a queue whose order changes

Message = dict[str, Any]


class Duplicates(Effect):
    """A message is delivered again, once: while its first delivery is processed, or after it was deleted.

    A copy on a server that was unavailable for a moment knows nothing of the first delivery, so its receive count is
    that of before.
    """

    name = "duplicates"
    summary = "Standard queues deliver some messages twice: at the same time, or again after they were deleted."
    source = (
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
        "standard-queues-at-least-once-delivery.html"
    )

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._again: OrderedDict[str, None] = OrderedDict()

    def install(self) -> None:
        """Wrap the engine's receive and delete, which pollers call too."""
        from ministack.services import sqs

        collect, remove = sqs._collect_msgs, sqs._delete_messages_for_esm
        actions = {name: sqs._HANDLERS[name] for name in ("DeleteMessage", "DeleteMessageBatch")}

        def collected(q: dict[str, Any], max_n: int, vis_timeout: int) -> list[Message]:
            messages: list[Message] = collect(q, max_n, vis_timeout)
            with LOCK:
                for message in [] if q["is_fifo"] else messages:
                    if vis_timeout > _VISIBLE_AFTER_S and self._repeats(message, _CHANCE_STILL_VISIBLE):
                        _show_again(q, message)
            # The copy shares nothing with the message that becomes visible again.
            return [dict(message) for message in messages]

        def removed(queue_url: str, receipt_handles: set[str]) -> None:
            remove(queue_url, receipt_handles - self._spared(sqs._get_q(queue_url), receipt_handles))

        def delete(data: dict[str, Any], qurl: str) -> Any:
            handle = data.get("ReceiptHandle", "")
            spared = self._spared(sqs._get_q(data.get("QueueUrl", qurl)), {handle})
            return {} if spared else actions["DeleteMessage"](data, qurl)

        def delete_batch(data: dict[str, Any], qurl: str) -> Any:
            entries = data.get("Entries") or []
            handles = {entry.get("ReceiptHandle", "") for entry in entries}
            spared = self._spared(sqs._get_q(data.get("QueueUrl", qurl)), handles)
            rest = [entry for entry in entries if entry.get("ReceiptHandle", "") not in spared]
            answer = actions["DeleteMessageBatch"]({**data, "Entries": rest}, qurl) if rest or not entries else {}
            unchanged = [{"Id": entry["Id"]} for entry in entries if entry.get("ReceiptHandle", "") in spared]
            return {**answer, "Successful": [*answer.get("Successful", ()), *unchanged]}

        sqs._collect_msgs, sqs._delete_messages_for_esm = collected, removed
        sqs._HANDLERS.update(DeleteMessage=delete, DeleteMessageBatch=delete_batch)

    def _spared(self, q: dict[str, Any], handles: set[str]) -> set[str]:
        """Handles of messages that a server keeps although they were deleted."""
        spared: set[str] = set()
        if q["is_fifo"]:
            return spared
        with LOCK:
            for handle in handles:
                message = messages_of(q).with_handle(handle)
                if message is not None and self._repeats(message, _CHANCE_NOT_DELETED):
                    _show_again(q, message)
                    spared.add(handle)
        return spared

    def _repeats(self, message: Message, chance: float) -> bool:
        """Draw whether a message is delivered again, at most once."""
        if message["id"] in self._again or not self.happens(chance):
            return False
        self._again[message["id"]] = None
        if len(self._again) > _REMEMBERED:
            self._again.popitem(last=False)
        return True


class Order(Effect):
    """Messages are received in another order than they were sent."""

    name = "order"
    summary = "Standard queues deliver messages in another order than they were sent."
    source = (
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-message-order.html"
    )

    def install(self) -> None:
        """Wrap the engine's receive, which pollers call too."""
        from ministack.services import sqs

        collect: Callable[..., list[Message]] = sqs._collect_msgs

        def collected(q: dict[str, Any], max_n: int, vis_timeout: int) -> list[Message]:
            if not q["is_fifo"]:
                messages_of(q).shuffle(_WINDOW, self.random.shuffle, time.time())
            return collect(q, max_n, vis_timeout)

        sqs._collect_msgs = collected


def _show_again(q: dict[str, Any], message: Message) -> None:
    message["visible_at"] = time.time() + _VISIBLE_AFTER_S
    message["receive_count"] = max(0, message["receive_count"] - 1)
    messages_of(q).changed(message)
