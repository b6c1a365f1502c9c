"""Event source mappings take their time to change."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.weather.call import Call, Response

_IN_USE = "The event source mapping with UUID {} is {}. Wait until it has changed, then try again."
_CHANGES = ("UpdateEventSourceMapping", "DeleteEventSourceMapping")


class EventSourceStates(Effect):
    """Every change of a mapping passes through a state in which further changes are refused."""

    name = "event-source-states"
    summary = (
        "An event source is Creating, Enabling, Disabling, Updating or Deleting for a while "
        f"({delays.EVENT_SOURCE}), and refuses changes meanwhile with ResourceInUseException."
    )
    source = "https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html"

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._changing: dict[str, tuple[str, float]] = {}
        self._deleted: dict[str, dict[str, Any]] = {}

    async def before(self, call: Call) -> Response | None:
        """Refuse changes of a mapping that changes; describe one that is being deleted."""
        if not call.named("lambda", *_CHANGES, "GetEventSourceMapping"):
            return None
        mapping = str(call.params.get("UUID", ""))
        state = self._state(mapping)
        if state and call.named("lambda", *_CHANGES):
            return call.error("ResourceInUseException", _IN_USE.format(mapping, state), 400)
        if state == "Deleting":
            return call.answer(self._deleted[mapping])
        return None

    async def after(self, call: Call, response: Response) -> Response:
        """The state in between, for as long as the change takes."""
        if not response.ok:
            return response
        if call.named("lambda", "ListEventSourceMappings"):
            return self._listed(call, response)
        if call.named("lambda", "GetEventSourceMapping"):
            state = self._state(str(response.document.get("UUID")))
            return response.with_document({**response.document, "State": state}) if state else response
        if not call.named("lambda", "CreateEventSourceMapping", *_CHANGES):
            return response
        mapping, state = str(response.document["UUID"]), _state_of(call)
        self._changing[mapping] = state, self.now() + delays.EVENT_SOURCE.draw(self.random)
        document = {**response.document, "State": state}
        if state == "Deleting":
            self._deleted[mapping] = document
        return response.with_document(document)

    def _state(self, mapping: str) -> str:
        """The state in between; empty once the change is over."""
        state, until = self._changing.get(mapping, ("", 0.0))
        if state and self.now() >= until:
            del self._changing[mapping]
            self._deleted.pop(mapping, None)
            return ""
        return state

    def _listed(self, call: Call, response: Response) -> Response:
        mappings = response.document.get("EventSourceMappings", [])
        listed = [{**m, "State": self._state(m["UUID"]) or m["State"]} for m in mappings]
        queue, function = call.params.get("EventSourceArn"), call.params.get("FunctionName")
        for mapping, document in list(self._deleted.items()):
            is_requested = (queue in (None, document.get("EventSourceArn"))) and (
                function is None or str(function) in str(document.get("FunctionArn"))
            )
            if self._state(mapping) and is_requested and all(m["UUID"] != mapping for m in listed):
                listed.append(document)
        return (
            response
            if listed == mappings
            else response.with_document({**response.document, "EventSourceMappings": listed})
        )


def _state_of(call: Call) -> str:
    if call.operation == "CreateEventSourceMapping":
        return "Creating"
    if call.operation == "DeleteEventSourceMapping":
        return "Deleting"
    enabled = call.params.get("Enabled")
    return "Updating" if enabled is None else "Enabling" if enabled else "Disabling"
