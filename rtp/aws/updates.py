"""Lambda: changing functions and event sources past CloudFormation, and the account's concurrency limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import functions
from rtp.errors import AwsError

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.functions import Function


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Limits of concurrent executions: of the account, and of the part that no function has reserved."""

    limit: int
    unreserved: int


def describe(aws: Aws, name: str) -> Function | None:
    """The function; None where there is none of this name."""
    try:
        return functions.function(aws, name)
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return None
        raise


def update_code(aws: Aws, name: str, archive: Path) -> None:
    """Start to replace a function's code with a zip."""
    aws.call("lambda", "update_function_code", FunctionName=name, ZipFile=archive.read_bytes())


def update_limits(aws: Aws, name: str, *, timeout_s: int, memory_mb: int) -> None:
    """Start to set timeout and memory."""
    aws.call("lambda", "update_function_configuration", FunctionName=name, Timeout=timeout_s, MemorySize=memory_mb)


def update_handler(aws: Aws, name: str, handler: str) -> None:
    """Start to set the handler."""
    aws.call("lambda", "update_function_configuration", FunctionName=name, Handler=handler)


def concurrency(aws: Aws) -> Concurrency:
    """The account's limits in this region."""
    limits = aws.call("lambda", "get_account_settings")["AccountLimit"]
    return Concurrency(int(limits["ConcurrentExecutions"]), int(limits["UnreservedConcurrentExecutions"]))


def reserved(aws: Aws, name: str) -> int | None:
    """A function's reserved concurrency; None where it has none, or does not exist."""
    try:
        answer = aws.call("lambda", "get_function_concurrency", FunctionName=name)
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return None
        raise
    return answer.get("ReservedConcurrentExecutions")


def switch_event_source(aws: Aws, mapping: str, *, on: bool) -> None:
    """Start to enable or disable an event source mapping. Raises AwsError, also when there is none of this id."""
    aws.call("lambda", "update_event_source_mapping", UUID=mapping, Enabled=on)


def event_source_state(aws: Aws, mapping: str) -> str:
    """State of an event source mapping, such as Enabled or Disabling. Raises AwsError."""
    return str(aws.call("lambda", "get_event_source_mapping", UUID=mapping)["State"])
