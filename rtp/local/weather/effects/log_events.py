"""Log events arrive late, and not in the order in which they were written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.weather.call import Call, Response

_READS = ("FilterLogEvents", "GetLogEvents")


class LogEvents(Effect):
    """Each event has a delay of its own, so that an older one can appear after a newer one."""

    name = "log-events"
    summary = (
        f"A log event can be read only some time after it was written ({delays.LOG_EVENT}), each after a time of its "
        "own, so that older events appear after newer ones. A query of Logs Insights is Running for a while."
    )
    source = "https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html"

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._queries: dict[str, float] = {}

    async def after(self, call: Call, response: Response) -> Response:
        """The response without the events that have not arrived."""
        if not response.ok or call.service != "logs":
            return response
        if call.operation in _READS:
            return self._arrived(response)
        if call.operation == "StartQuery":
            self._queries[str(response.document.get("queryId"))] = self.now() + delays.QUERY.draw(self.random)
        elif call.operation == "GetQueryResults" and self.now() < self._queries.get(str(call.params.get("queryId")), 0):
            return response.with_document({**response.document, "status": "Running", "results": []})
        return response

    def _arrived(self, response: Response) -> Response:
        events: list[dict[str, Any]] = response.document.get("events", [])
        now_ms = self.now() * 1000
        arrived = [event for event in events if _written_ms(event) + 1000 * delays.LOG_EVENT.of(_id(event)) <= now_ms]
        return (
            response
            if len(arrived) == len(events)
            else response.with_document({**response.document, "events": arrived})
        )


def _written_ms(event: dict[str, Any]) -> float:
    return float(event.get("ingestionTime") or event.get("timestamp") or 0)


def _id(event: dict[str, Any]) -> str:
    return str(event.get("eventId") or f"{event.get('timestamp')} {event.get('message')}")
