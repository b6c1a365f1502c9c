"""Following a stack operation by its events, from its start to its end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import stacks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.aws import Aws
    from rtp.aws.stacks import Event

_CLEANUP = "CLEANUP_IN_PROGRESS"
GONE = "DELETE_COMPLETE"
GOOD = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE", GONE)


@dataclass(slots=True)
class Follower:
    """A stack operation under way. Make it before the operation starts, so that no event is missed or told twice.

    stack_id: the stack's id; a name would not find a deleted stack. status: the stack's last one, once ended.
    """

    aws: Aws
    stack_id: str
    total: int = 0
    sleep: Callable[[float], None] = time.sleep
    status: str = ""
    failures: list[Event] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        stacks.events_since(self.aws, self.stack_id, self._seen)

    @property
    def done(self) -> int:
        """Resources that have got where they should be."""
        return len(self._done)

    @property
    def good(self) -> bool:
        """Whether it ended as it should."""
        return self.status in GOOD

    def events(self) -> Iterator[Event | None]:
        """Events as they happen, oldest first, until the operation has ended; None after each look without news."""
        pause = 0.05 if self.aws.local else 1.0
        while not self.status:
            news = stacks.events_since(self.aws, self.stack_id, self._seen)
            for event in news:
                self._count(event)
                yield event
            if not news and not self.status:
                yield None
                self.sleep(pause)
                pause = min(pause * 1.3, 0.5 if self.aws.local else 3.0)

    def _count(self, event: Event) -> None:
        own = event.physical_id == self.stack_id or (event.of_stack and event.logical_id in self.stack_id)
        if own:
            if not event.status.endswith(("_IN_PROGRESS", _CLEANUP)):
                self.status = event.status
        elif event.status.endswith("_FAILED"):
            self.failures.append(event)
        elif event.status.endswith("_COMPLETE"):
            self._done.add(event.logical_id)
