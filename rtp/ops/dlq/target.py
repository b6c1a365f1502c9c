"""Where a DLQ operation acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.contract import Output
from rtp.ops.run_marks import Operator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rtp.aws import Aws
    from rtp.ops.journal_store import JournalStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A stack's queues and table, and the store with the journals of its runs.

    restored_ms: when the local engine's data last went back to an earlier save, epoch ms; 0 for never, as on AWS.
    who: the operator that acts. warn: called with what the operator is to know, such as a journal that is skipped.
    """

    aws: Aws
    outputs: Mapping[str, str]
    stack: str
    account: str
    journals: JournalStore
    restored_ms: int = 0
    who: Operator = field(default_factory=Operator)
    warn: Callable[[str], None] = lambda _: None

    @property
    def queue_url(self) -> str:
        """The queue that the worker reads."""
        return self.outputs[Output.QUEUE_URL]

    @property
    def dlq_url(self) -> str:
        """The dead-letter queue."""
        return self.outputs[Output.DLQ_URL]

    @property
    def table(self) -> str:
        """The table of event records, which also holds the lease."""
        return self.outputs[Output.TABLE]
