"""Functions take their time to be created and updated, and an update can fail afterwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.weather.call import Call, Response

_UPDATES = ("UpdateFunctionCode", "UpdateFunctionConfiguration")
# https://aws.amazon.com/blogs/compute/coming-soon-expansion-of-aws-lambda-states-to-all-functions/
_REFUSED = (*_UPDATES, "PublishVersion", "TagResource")
_READS = ("GetFunction", "GetFunctionConfiguration")
_CONFLICT = "The operation cannot be performed at this time. An update is in progress for resource: {}"
_PENDING = "The operation cannot be performed at this time. The function is currently in the following state: Pending"


class FunctionStates(Effect):
    """An update is accepted at once and done later; so is a creation."""

    name = "function-states"
    summary = (
        f"A function that was updated is InProgress for a while ({delays.FUNCTION}), and refuses updates meanwhile "
        "with ResourceConflictException; one that was created is Pending and cannot be invoked."
    )
    source = "https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html"

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._updating: dict[str, float] = {}
        self._pending: dict[str, float] = {}

    async def before(self, call: Call) -> Response | None:
        """Refuse updates of a function that is being updated, and invocations of one that is being created."""
        name = name_of(call)
        if self._runs(self._updating, name) and call.named("lambda", *_REFUSED):
            return call.error("ResourceConflictException", _CONFLICT.format(call.params["FunctionName"]), 409)
        if self._runs(self._pending, name) and call.named("lambda", "Invoke", *_REFUSED):
            return call.error("ResourceConflictException", _PENDING, 409)
        return None

    async def after(self, call: Call, response: Response) -> Response:
        """The state in between, for as long as the change takes."""
        if not response.ok or not call.named("lambda", *_UPDATES, *_READS, "CreateFunction"):
            return response
        name = name_of(call)
        if call.named("lambda", *_UPDATES):
            self._updating[name] = self.now() + delays.FUNCTION.draw(self.random)
        elif call.named("lambda", "CreateFunction"):
            self._pending[name] = self.now() + delays.FUNCTION.draw(self.random)
        changes: dict[str, Any] = {}
        if self._runs(self._updating, name):
            changes["LastUpdateStatus"] = "InProgress"
        if self._runs(self._pending, name):
            changes |= {
                "State": "Pending",
                "StateReasonCode": "Creating",
                "StateReason": "The function is being created.",
            }
        return with_configuration(response, changes)

    def _runs(self, changes: dict[str, float], name: str) -> bool:
        return self.now() < changes.get(name, 0.0)


class FailedUpdates(Effect):
    """Every update of a function is accepted and fails afterwards."""

    name = "function-update-fails"
    summary = "An update of a function is accepted, and its LastUpdateStatus is then Failed with a reason."
    source = "https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html"
    is_optional = True

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._failed: set[str] = set()

    async def after(self, call: Call, response: Response) -> Response:
        """The failure, to whoever asks after an update."""
        if not response.ok or not call.named("lambda", *_UPDATES, *_READS):
            return response
        name = name_of(call)
        if call.named("lambda", *_UPDATES):
            self._failed.add(name)
            return with_configuration(response, {"LastUpdateStatus": "InProgress"})
        if name not in self._failed:
            return response
        failure = {
            "LastUpdateStatus": "Failed",
            "LastUpdateStatusReasonCode": "InternalError",
            "LastUpdateStatusReason": "Lambda could not update the function because of an internal error.",
        }
        return with_configuration(response, failure)


def name_of(call: Call) -> str:
    """The function's name, without account, region and qualifier; empty for other calls."""
    if call.service != "lambda":
        return ""
    name = str(call.params.get("FunctionName") or call.params.get("Resource") or "")
    parts = name.split(":")
    if "function" in parts[:-1]:
        return parts[parts.index("function") + 1]
    return parts[0]


def with_configuration(response: Response, changes: dict[str, Any]) -> Response:
    """The response with changes in the function's configuration."""
    if not changes:
        return response
    document = response.document
    if "Configuration" in document:
        return response.with_document({**document, "Configuration": {**document["Configuration"], **changes}})
    return response.with_document({**document, **changes})
