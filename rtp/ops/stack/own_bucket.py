"""rtp's own bucket: made by a bootstrap, and removed once no stack of rtp is left in the account and region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import own_bucket, stacks
from rtp.contract import Tag
from rtp.errors import AwsError, RefusedError
from rtp.ops.access import stack_lease
from rtp.ops.work.clock import SYSTEM, Clock
from rtp.ops.work.polling import poll

if TYPE_CHECKING:
    from rtp.aws import Aws
    from rtp.aws.stacks import Stack

# S3 answers so for a while after a bucket of this name was created or deleted.
_PASSING = ("NoSuchBucket", "OperationAborted")
_POLL_S, _TIMEOUT_S = 2.0, 120.0
_NAMED = 5  # stacks in a message


@dataclass(frozen=True, slots=True)
class Bucket:
    """rtp's own bucket. is_new: made by this run."""

    name: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """What `rtp bootstrap --remove` has removed: rtp's own bucket. The CDK's bootstrap stays.

    bucket: its name. removed: false where there was none. objects: how many object versions were in it.
    """

    account: str
    region: str
    bucket: str
    removed: bool
    objects: int


def ensure(aws: Aws, clock: Clock = SYSTEM) -> Bucket:
    """Make the bucket, or complete and update it. Raises RtpError."""
    is_new = False

    def attempt() -> AwsError | None:
        nonlocal is_new
        try:
            is_new |= own_bucket.create(aws)
        except AwsError as error:
            if error.service_code not in _PASSING:
                raise
            is_new |= error.service_code == "NoSuchBucket"  # created, and not known everywhere yet
            return error
        return None

    error = poll(attempt, lambda failed: failed is None, _POLL_S, timeout_s=_TIMEOUT_S, clock=clock)
    if error is not None:
        raise error
    return Bucket(own_bucket.name(aws), is_new)


def check_unused(aws: Aws) -> None:
    """Raises RefusedError while a stack of rtp exists in the account and region, or one is being changed."""
    names = sorted(stack.name for stack in stacks.every(aws) if _is_of_rtp(stack))
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        raise RefusedError(
            f"Stacks of rtp exist in {aws.region}, and their deploys need {own_bucket.name(aws)}: "
            f"{', '.join(names[:_NAMED])}{more}. Nothing was deleted.",
            hint="Run `rtp destroy` for each first.",
            code="bucket-in-use",
        )
    if own_bucket.exists(aws) and (changes := stack_lease.busy(aws)):
        raise RefusedError(
            f"A stack is being changed: {changes[0]}. Nothing was deleted.",
            hint="Wait until that has ended, then repeat the command. If it was killed, its lease ends in minutes.",
            code="locked",
        )


def remove(aws: Aws) -> Removed:
    """Delete the bucket and all that is in it. Raises RefusedError where something needs it."""
    check_unused(aws)
    objects = own_bucket.remove(aws)
    return Removed(aws.account, aws.region, own_bucket.name(aws), objects is not None, objects or 0)


def _is_of_rtp(stack: Stack) -> bool:
    """Whether the tags name the project and environment that make the stack's name."""
    project, environment = stack.tags.get(Tag.PROJECT), stack.tags.get(Tag.ENVIRONMENT)
    return project is not None and environment is not None and stack.name == f"{project}-{environment}"
