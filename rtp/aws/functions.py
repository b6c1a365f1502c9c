"""Lambda: the state of a function and of what feeds it."""

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
    """How a function is."""
    found = aws.call("lambda", "get_function_configuration", FunctionName=name)
    return Function(
        name=str(found.get("FunctionName", name)),
        state=str(found.get("State", "")),
        update=str(found.get("LastUpdateStatus", "")),
        reason=str(found.get("LastUpdateStatusReason") or found.get("StateReason") or ""),
        runtime=str(found.get("Runtime", "")),
        memory_mb=int(found.get("MemorySize", 0)),
        timeout_s=int(found.get("Timeout", 0)),
        changed=str(found.get("LastModified", "")),
        code_sha256=str(found.get("CodeSha256", "")),
    )


def handler(aws: Aws, name: str) -> str | None:
    """The handler that Lambda calls, or None when there is no function of this name."""
    try:
        return str(aws.call("lambda", "get_function_configuration", FunctionName=name).get("Handler", ""))
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return None
        raise


def event_sources(aws: Aws, queue_arn: str) -> list[EventSource]:
    """What a queue feeds, whatever version or alias of a function that is."""
    return [
        EventSource(
            id=str(found.get("UUID", "")),
            state=str(found.get("State", "")),
            reason=str(found.get("StateTransitionReason", "")),
            last_result=str(found.get("LastProcessingResult", "")),
            batch_size=int(found.get("BatchSize", 0)),
            max_concurrency=(found.get("ScalingConfig") or {}).get("MaximumConcurrency"),
        )
        for found in aws.pages("lambda", "list_event_source_mappings", "EventSourceMappings", EventSourceArn=queue_arn)
    ]
