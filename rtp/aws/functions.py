"""Lambda: functions and their event sources, as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function.

    state: Active, Pending, Inactive or Failed. update: Successful, InProgress or Failed. runtime: Lambda's name of it.
    memory_mb: its memory. timeout_s: its timeout. changed: when it was last changed, ISO 8601.
    code_sha256: of its code.
    """

    name: str
    state: str
    update: str
    reason: str
    runtime: str
    memory_mb: int
    timeout_s: int
    changed: str
    code_sha256: str

    @property
    def is_changing(self) -> bool:
        """Whether its creation or an update is under way, during which Lambda refuses another update."""
        return self.state == "Pending" or self.update == "InProgress"


@dataclass(frozen=True, slots=True)
class EventSource:
    """What hands a queue's messages to a function.

    id: its UUID. state: Enabled, Disabled, or changing to one of them. last_result: of its last batch, as AWS says it.
    batch_size: most messages at once. max_concurrency: most batches at once; null without a limit.
    """

    id: str
    state: str
    reason: str
    last_result: str
    batch_size: int
    max_concurrency: int | None


def function(aws: Aws, name: str) -> Function:
    """A function by its name. Raises AwsError where there is none."""
    answer = aws.call("lambda", "get_function_configuration", FunctionName=name)
    return Function(
        name=str(answer.get("FunctionName", name)),
        state=str(answer.get("State", "")),
        update=str(answer.get("LastUpdateStatus", "")),
        reason=str(answer.get("LastUpdateStatusReason") or answer.get("StateReason") or ""),
        runtime=str(answer.get("Runtime", "")),
        memory_mb=int(answer.get("MemorySize", 0)),
        timeout_s=int(answer.get("Timeout", 0)),
        changed=str(answer.get("LastModified", "")),
        code_sha256=str(answer.get("CodeSha256", "")),
    )


def handler(aws: Aws, name: str) -> str | None:
    """The handler that Lambda calls; None where there is no function of this name."""
    try:
        return str(aws.call("lambda", "get_function_configuration", FunctionName=name).get("Handler", ""))
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return None
        raise


def event_sources(aws: Aws, queue_arn: str) -> list[EventSource]:
    """The event sources of a queue, whatever version or alias of a function they call."""
    return [
        EventSource(
            id=str(mapping.get("UUID", "")),
            state=str(mapping.get("State", "")),
            reason=str(mapping.get("StateTransitionReason", "")),
            last_result=str(mapping.get("LastProcessingResult", "")),
            batch_size=int(mapping.get("BatchSize", 0)),
            max_concurrency=(mapping.get("ScalingConfig") or {}).get("MaximumConcurrency"),
        )
        for mapping in aws.pages(
            "lambda", "list_event_source_mappings", "EventSourceMappings", EventSourceArn=queue_arn
        )
    ]
