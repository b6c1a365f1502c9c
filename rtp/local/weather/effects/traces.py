"""Traces are indexed late, and their segments arrive one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

_UNPROCESSED = 0.1


class Traces(Effect):
    """A trace is found some time after it has ended, and read in parts before."""

    name = "traces"
    summary = (
        f"A trace is found only some time after its end ({delays.TRACE}); before that BatchGetTraces returns a part of "
        "its segments, and at times no answer for a trace at all (UnprocessedTraceIds)."
    )
    source = "https://docs.aws.amazon.com/xray/latest/api/API_BatchGetTraces.html"

    async def after(self, call: Call, response: Response) -> Response:
        """The response without what has not been indexed."""
        if not response.ok or call.service != "xray":
            return response
        if call.operation == "GetTraceSummaries":
            summaries = response.document.get("TraceSummaries", [])
            return _with(response, "TraceSummaries", summaries, [s for s in summaries if self._is_indexed(s)])
        if call.operation == "BatchGetTraces":
            return self._in_part(call, response)
        return response

    def _is_indexed(self, summary: dict[str, Any]) -> bool:
        ended = int(summary["Id"].split("-")[1], 16) + float(summary.get("Duration") or 0)
        return self.now() >= ended + delays.TRACE.of(summary["Id"])

    def _in_part(self, call: Call, response: Response) -> Response:
        traces = response.document.get("Traces", [])
        if len(traces) > 1 and self.happens(_UNPROCESSED) and call.may_fail():
            *answered, last = traces
            more = [*response.document.get("UnprocessedTraceIds", ()), last["Id"]]
            return response.with_document({**response.document, "Traces": answered, "UnprocessedTraceIds": more})
        arrived = [{**t, "Segments": [s for s in t.get("Segments", ()) if self._has_arrived(s)]} for t in traces]
        return _with(response, "Traces", traces, [trace for trace in arrived if trace["Segments"]])

    def _has_arrived(self, segment: dict[str, Any]) -> bool:
        document = json.loads(segment["Document"])
        ended = float(document.get("end_time") or document.get("start_time") or 0)
        return self.now() >= ended + delays.TRACE.of(segment["Id"]) / 2


def _with(response: Response, key: str, before: list[Any], after: list[Any]) -> Response:
    return response if after == before else response.with_document({**response.document, key: after})
