"""Descriptions of stacks are eventually consistent, and their events arrive late."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.weather.call import Call, Response

_OPERATIONS = (
    "CreateChangeSet",
    "ExecuteChangeSet",
    "CreateStack",
    "UpdateStack",
    "DeleteStack",
    "RollbackStack",
    "ContinueUpdateRollback",
    "CancelUpdateStack",
)
_STALE = 0.5  # of the descriptions in that time
_EVENT = re.compile(rb"<member>(?:(?!</member>).)*?<Timestamp>([^<]+)</Timestamp>.*?</member>", re.DOTALL)


class StackReads(Effect):
    """A stack is described as it was before an operation that has begun already."""

    name = "stack-reads"
    summary = (
        f"After the start of an operation some descriptions of the stack are still the old ones ({delays.STACK_READ}): "
        "a new stack does not exist, a deleted one does, an update has not begun."
    )
    source = "https://github.com/aws/aws-cdk-cli/pull/1848"

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._last: dict[str, Response] = {}
        self._before: dict[str, tuple[dict[str, Response], float]] = {}
        self._old: set[int] = set()  # ids of calls that were answered with an old description

    async def before(self, call: Call) -> Response | None:
        """The old description, at times."""
        if not call.named("cloudformation", "DescribeStacks") or "StackName" not in call.params:
            return None
        stack = str(call.params["StackName"])
        descriptions, until = self._before.get(name_of(stack), ({}, 0.0))
        old = descriptions.get(stack)
        if old is None or self.now() >= until or not self.happens(_STALE):
            return None
        self._old.add(id(call))
        return old

    async def after(self, call: Call, response: Response) -> Response:
        """Remember descriptions, and when an operation begins."""
        stack = str(call.params.get("StackName", ""))
        if id(call) in self._old:
            self._old.remove(id(call))
            return response
        if not stack or call.service != "cloudformation" or response.cut is not None:
            return response
        if call.operation == "DescribeStacks" and response.status in (200, 400):
            if b"Throttling" not in response.body:
                self._last[stack] = response
        elif call.operation in _OPERATIONS and response.ok:
            name = name_of(stack)
            descriptions = {asked: answer for asked, answer in self._last.items() if name_of(asked) == name}
            self._before[name] = descriptions, self.now() + delays.STACK_READ.draw(self.random)
            self._last = {asked: answer for asked, answer in self._last.items() if asked not in descriptions}
        return response


class StackEvents(Effect):
    """The latest events of a stack are missing."""

    name = "stack-events"
    summary = f"An event of a stack can be read only some time after it happened ({delays.STACK_EVENT})."
    source = "https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackEvents.html"

    async def after(self, call: Call, response: Response) -> Response:
        """The events without the latest."""
        if not response.ok or not call.named("cloudformation", "DescribeStackEvents"):
            return response
        latest = self.now() - delays.STACK_EVENT.of(f"{call.params.get('StackName')} {int(self.now() / 5)}")

        def shown(event: re.Match[bytes]) -> bytes:
            happened = datetime.fromisoformat(event[1].decode()).timestamp()
            return event[0] if happened <= latest else b""

        body = _EVENT.sub(shown, response.body)
        return response if body == response.body else response.with_body(body)


class ChangeSets(Effect):
    """A change set is worked out after the call that creates it has returned."""

    name = "change-sets"
    summary = (
        f"A change set is CREATE_PENDING, then CREATE_IN_PROGRESS for a while ({delays.CHANGE_SET}), and cannot be "
        "executed meanwhile."
    )
    source = "https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeChangeSet.html"

    def __init__(self, seed: int, now: Callable[[], float] = time.time) -> None:
        super().__init__(seed, now)
        self._created: dict[tuple[str, str], tuple[float, float]] = {}

    async def before(self, call: Call) -> Response | None:
        """Refuse to execute one that is not ready."""
        if not call.named("cloudformation", "ExecuteChangeSet"):
            return None
        status = self._status(call)
        if not status:
            return None
        name = call.params["ChangeSetName"]
        return call.error(
            "InvalidChangeSetStatus", f"ChangeSet [{name}] cannot be executed in its current status of [{status}]"
        )

    async def after(self, call: Call, response: Response) -> Response:
        """The status in between, without changes."""
        if not response.ok:
            return response
        if call.named("cloudformation", "CreateChangeSet"):
            now = self.now()
            self._created[_key(call)] = now, now + delays.CHANGE_SET.draw(self.random)
        if not call.named("cloudformation", "DescribeChangeSet"):
            return response
        status = self._status(call)
        if not status:
            return response
        body = re.sub(rb"<Status>[^<]*</Status>", b"<Status>%s</Status>" % status.encode(), response.body, count=1)
        body = re.sub(rb"<StatusReason>[^<]*</StatusReason>", b"", body, count=1)
        body = re.sub(rb"(?<=<ExecutionStatus>)[^<]*", b"UNAVAILABLE", body, count=1)
        return response.with_body(re.sub(rb"<Changes>.*</Changes>", b"<Changes></Changes>", body, flags=re.DOTALL))

    def _status(self, call: Call) -> str:
        """The status in between; empty once it is ready."""
        created, ready = self._created.get(_key(call), (0.0, 0.0))
        if self.now() >= ready:
            return ""
        return "CREATE_PENDING" if self.now() < (created + ready) / 2 else "CREATE_IN_PROGRESS"


def name_of(stack: str) -> str:
    """A stack's name, from its name or id."""
    return stack.split("/")[1] if stack.startswith("arn:") else stack


def _key(call: Call) -> tuple[str, str]:
    change_set = str(call.params.get("ChangeSetName", ""))
    name = change_set.split("/")[1] if change_set.startswith("arn:") else change_set
    return name_of(str(call.params.get("StackName", ""))), name
