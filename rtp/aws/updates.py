"""Lambda: changing functions past CloudFormation, and what the account lets them have."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import functions
from rtp.errors import AwsError, WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.aws.functions import Function

_SETTLE_S = 120.0


@dataclass(frozen=True, slots=True)
class Concurrency:
    """The account's concurrent executions: all of them, and those that no function has reserved."""

    limit: int
    unreserved: int


def describe(aws: Aws, name: str) -> Function | None:
    """The function, or None when there is none of this name."""
    try:
        return functions.function(aws, name)
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return None
        raise


def update_code(aws: Aws, name: str, archive: Path) -> None:
    """Run the code of a zip from now on. Returns once Lambda does."""
    aws.call("lambda", "update_function_code", FunctionName=name, ZipFile=archive.read_bytes())
    _settled(aws, name)


def update_limits(aws: Aws, name: str, *, timeout_s: int, memory_mb: int) -> None:
    """Set timeout and memory."""
    aws.call("lambda", "update_function_configuration", FunctionName=name, Timeout=timeout_s, MemorySize=memory_mb)
    _settled(aws, name)


def update_handler(aws: Aws, name: str, handler: str) -> None:
    """Have Lambda call another function of the code. Returns once it does."""
    aws.call("lambda", "update_function_configuration", FunctionName=name, Handler=handler)
    _settled(aws, name)


def concurrency(aws: Aws) -> Concurrency:
    """The account's limit in this region."""
    found = aws.call("lambda", "get_account_settings")["AccountLimit"]
    return Concurrency(int(found["ConcurrentExecutions"]), int(found["UnreservedConcurrentExecutions"]))


def reserved(aws: Aws, name: str) -> int | None:
    """What the function has reserved; None for nothing, or when there is no such function."""
    try:
        found = aws.call("lambda", "get_function_concurrency", FunctionName=name)
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return None
        raise
    return found.get("ReservedConcurrentExecutions")


def switch_event_source(aws: Aws, mapping: str, *, on: bool, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Enable or disable an event source mapping and wait until that holds; False when there is none of this id."""
    try:
        aws.call("lambda", "update_event_source_mapping", UUID=mapping, Enabled=on)
        deadline = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline:
            state = aws.call("lambda", "get_event_source_mapping", UUID=mapping)["State"]
            if state == ("Enabled" if on else "Disabled"):
                return True
            sleep(0.1 if aws.local else 2.0)
    except AwsError as error:
        if error.service_code == "ResourceNotFoundException":
            return False
        raise
    raise WaitTimeoutError(f"The event source {mapping} has not settled.", hint="Repeat the command.")


def _settled(aws: Aws, name: str, sleep: Callable[[float], None] = time.sleep) -> None:
    deadline = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline:
        found = describe(aws, name)
        if found is None or found.update != "InProgress":
            return
        sleep(0.05 if aws.local else 1.0)
    raise WaitTimeoutError(f"{name} has not taken its new code in time.", hint="See `rtp status`.")
