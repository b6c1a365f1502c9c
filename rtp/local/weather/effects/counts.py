"""Approximate counts of a queue: each lags on its own, so that they disagree."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

_LAG_S = 4.0  # up to a minute on AWS
_CHANCE = 0.5
_APPROXIMATE = "ApproximateNumberOfMessages"
_CHANGES = ("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch", "PurgeQueue")
_INTERVAL_S = 0.2


class QueueCounts(Effect):
    """Answers each count as it was at some moment of the last seconds."""

    name = "queue-counts"
    summary = "Approximate counts of a queue lag by up to 4 s (on AWS a minute), each on its own: they disagree."
    source = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html"

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._history: dict[str, deque[tuple[float, dict[str, str]]]] = defaultdict(lambda: deque(maxlen=100))

    async def before(self, call: Call) -> Response | None:
        """Note the counts before a call changes them."""
        if call.protocol == "json" and call.named("sqs", *_CHANGES):
            history = self._history[call.resource]
            if not history or self.now() - history[-1][0] > _INTERVAL_S:
                response = await call.other(
                    "GetQueueAttributes", QueueUrl=call.resource, AttributeNames=[_APPROXIMATE + s for s in _SUFFIXES]
                )
                if response.ok:
                    history.append((self.now(), response.document.get("Attributes", {})))
        return None

    async def after(self, call: Call, response: Response) -> Response:
        """Replace each count by one of the last seconds."""
        if call.protocol != "json" or not call.named("sqs", "GetQueueAttributes") or not response.ok:
            return response
        attributes: dict[str, str] = response.document.get("Attributes", {})
        counts = {name: value for name, value in attributes.items() if name.startswith(_APPROXIMATE)}
        recent = [past for at, past in self._history[call.resource] if self.now() - at < _LAG_S]
        if not counts or not recent:
            return response
        lagging = {
            name: self.random.choice(recent).get(name, value) if self.happens(_CHANCE) else value
            for name, value in counts.items()
        }
        return response.with_document({"Attributes": attributes | lagging})


_SUFFIXES = ("", "NotVisible", "Delayed")
