"""Deletes a stack with what CloudFormation does not delete: the contents of its buckets."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.aws import buckets, resource_types, stacks
from rtp.errors import RtpError
from rtp.ops.stack.apply import causes, execute, protection
from rtp.ops.stack.apply.follow import Follower
from rtp.ops.stack.steps import Emptied, Phase
from rtp.ops.work import pool
from rtp.ops.work.pool import Stop

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from rtp.aws.stacks import Resource
    from rtp.ops.stack.apply.follow import Outcome
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.steps import Step

_THREADS = 8  # that delete from one bucket
_TRIES = 3  # a bucket may fill again between emptying and deletion, with the last events under way or with access logs


def remove(
    target: Target, operation: Operation, resources: Sequence[Resource], keep: frozenset[str], *, protected: bool
) -> Generator[Step, None, Outcome]:
    """Empty the stack's buckets and delete it; again where a bucket was refilled meanwhile.

    keep: logical ids that the template retains, whose contents are left alone.
    protected: termination protection is on; it is switched off for the first deletion that CloudFormation accepts.
    Raises RtpError, before anything is deleted, where the stack is another's by now.
    """
    names = [
        r.physical_id
        for r in resources
        if resource_types.of(r.resource_type).emptied_first and r.logical_id not in keep and not r.status.never_created
    ]
    guarded = [
        r.physical_id
        for r in resources
        if resource_types.of(r.resource_type).has_protection and r.logical_id not in keep and not r.status.never_created
    ]
    expected = frozenset(r.logical_id for r in resources)
    for _ in range(_TRIES):
        target.recheck()
        yield from _empty(target, operation, names)
        yield Phase("deleting")
        token = stacks.new_token()
        follower = Follower(target.aws, target.stack_id, expected, token)
        _begin(target, operation, guarded, token=token, protected=protected and not operation.deletion_begun)
        outcome = yield from execute.follow(follower, operation, target.paths)
        if outcome.good:
            operation.deleted = True
            return outcome
        if not any(resource_types.of(f.resource_type).emptied_first for f in outcome.failures):
            break
    return replace(outcome, cause=causes.first(target, outcome.failures, {}, began_ms=0))


def _begin(target: Target, operation: Operation, guarded: list[str], *, token: str, protected: bool) -> None:
    """Have CloudFormation delete the stack; where it refuses, the protection of stack and tables is restored.

    guarded: names of tables that are deleted with the stack.
    """
    lifted: list[str] = []
    try:
        lifted = protection.lift(target.aws, guarded)
        if protected:
            stacks.protect(target.aws, target.stack_id, on=False)
        with operation.requesting():
            stacks.delete(target.aws, target.stack_id, token=token)
    except BaseException:
        operation.deletion_begun |= operation.may_be_running
        if protected:
            with suppress(RtpError):  # a stack that is being deleted after all takes no protection
                stacks.protect(target.aws, target.stack_id, on=True)
        if not operation.deletion_begun:
            for name in lifted:
                with suppress(RtpError):
                    protection.switch(target.aws, name, on=True)
        raise
    operation.deletion_begun = True


def _empty(target: Target, operation: Operation, names: Sequence[str]) -> Iterator[Step]:
    """Empty all buckets at once. A caller that leaves early waits for the batches under way only."""
    if not names:
        return
    yield Phase("emptying buckets")
    target.aws.connect("s3")
    stop = Stop()
    deleted: dict[str, list[int]] = {name: [] for name in names}

    def empty(name: str) -> Iterator[Emptied]:
        def delete(batch: list[dict[str, str]]) -> tuple[()]:
            buckets.delete(target.aws, name, batch, deleted[name].append)
            return ()

        for _ in pool.each(buckets.versions(target.aws, name), delete, threads=_THREADS, stop=stop):
            pass
        count = sum(deleted[name])
        if count and not stop.drain.is_set():
            yield Emptied(name, count)

    try:
        yield from pool.each(names, empty, threads=len(names), stop=stop)
    finally:
        operation.objects_deleted += sum(map(sum, deleted.values()))
