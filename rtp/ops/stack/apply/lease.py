"""The lease of the stack that a deploy or destroy changes, and what its operator should know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.ops.access import stack_lease
from rtp.ops.stack.steps import Note, Warn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from rtp.aws import Aws
    from rtp.ops.stack.operation import Operation


def take(
    aws: Aws, stack: str, operation: Operation, until_end: ExitStack, *, quiet: bool = False
) -> Iterator[Note | Warn]:
    """Take the lease for an operation, until the end of a block. Raises RefusedError where another run has it.

    quiet: say nothing where the account has no bucket for leases.
    """
    what = operation.command.removeprefix("rtp ")
    grant = until_end.enter_context(stack_lease.granted(aws, stack, what))
    operation.lease = grant.lease
    if grant.note and not quiet:
        yield Note(grant.note)
    if grant.warning:
        yield Warn(grant.warning)
