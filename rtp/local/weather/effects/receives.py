"""Receives that return fewer messages than there are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

_CHANCE_EMPTY = 0.15
_CHANCE_FEWER = 0.4
_EMPTY_IN_A_ROW = 2


class ShortReceives(Effect):
    """SQS asks a sample of its servers: a short poll may miss messages, and fewer come than were asked for."""

    name = "short-receives"
    summary = "ReceiveMessage returns fewer messages than there are; without long polling it may return none."
    source = (
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html"
    )

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._empty: Counter[str] = Counter()

    async def before(self, call: Call) -> Response | None:
        """Answer without messages, or receive fewer."""
        if call.protocol != "json" or not call.named("sqs", "ReceiveMessage"):
            return None
        queue, is_short = call.resource, call.params.get("WaitTimeSeconds") == 0
        if is_short and self._empty[queue] < _EMPTY_IN_A_ROW and self.happens(_CHANCE_EMPTY):
            self._empty[queue] += 1
            return call.answer({})
        self._empty[queue] = 0
        most = int(call.params.get("MaxNumberOfMessages") or 1)
        if most > 1 and self.happens(_CHANCE_FEWER):
            return await call.again(MaxNumberOfMessages=self.random.randint(1, most - 1))
        return None
