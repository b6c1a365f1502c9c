"""Deleting a stack with what CloudFormation will not delete by itself: the contents of its buckets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import buckets, stacks
from rtp.errors import RtpError
from rtp.ops.stack.apply import causes, execute
from rtp.ops.stack.apply.follow import Follower
from rtp.ops.stack.steps import Cause, Emptied, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource
    from rtp.ops.stack.apply.follow import Underway
    from rtp.ops.stack.steps import Step

BUCKET = "AWS::S3::Bucket"
_TRIES = 3  # a bucket may fill again between emptying and deletion, with the last events under way or with access logs


@dataclass(slots=True)
class Removed:
    """What came of it so far.

    begun: CloudFormation was asked for the deletion and has not refused. objects: versions that are out of the buckets.
    """

    status: str = ""
    done: int = 0
    objects: int = 0
    begun: bool = False
    cause: Cause | None = None


def remove(
    aws: Aws,
    stack_id: str,
    removed: Removed,
    *,
    resources: Sequence[Resource],
    keep: frozenset[str],
    paths: Mapping[str, str],
    protected: bool,
    underway: Underway,
    recheck: Callable[[], None],
) -> Iterator[Step]:
    """Empty the stack's buckets and delete it, again where a bucket was refilled meanwhile.

    keep: logical ids that the template retains, whose contents are left alone.
    protected: termination protection is on; it goes with the first deletion that CloudFormation takes on.
    recheck: raises where the stack is another's by now; called before anything is deleted.
    """
    names = [
        r.physical_id
        for r in resources
        # One that could not be created because it was there already is not the stack's.
        if r.resource_type == BUCKET and r.logical_id not in keep and r.status != "CREATE_FAILED"
    ]
    for _ in range(_TRIES):
        recheck()
        yield from _emptied(aws, names, removed)
        yield Phase("deleting")
        follower = Follower(aws, stack_id, frozenset(r.logical_id for r in resources), underway)
        _begin(follower, removed, protected=protected and not removed.begun)
        yield from execute.told(follower, paths)
        removed.status, removed.done = follower.status, follower.done
        if follower.good:
            return
        if not any(f.resource_type == BUCKET for f in follower.failures):
            break
    removed.cause = causes.first(aws, stack_id, follower.failures, paths, {}, began_ms=0)


def _begin(follower: Follower, removed: Removed, *, protected: bool) -> None:
    """Have CloudFormation delete the stack; where it does not, protection is on again."""
    aws, stack_id = follower.aws, follower.stack_id
    try:
        if protected:
            stacks.protect(aws, stack_id, on=False)
        with follower.underway.asking():
            stacks.delete(aws, stack_id)
    except BaseException:
        removed.begun |= follower.underway.going_on
        if protected:
            with suppress(RtpError):  # a stack that is being deleted after all takes no protection
                stacks.protect(aws, stack_id, on=True)
        raise
    removed.begun = True


def _emptied(aws: Aws, names: Sequence[str], removed: Removed) -> Iterator[Step]:
    """All at once; whoever breaks off waits for the batches under way only."""
    if not names:
        return
    yield Phase("emptying buckets")
    aws.connect("s3")
    stop = threading.Event()
    deleted: dict[str, list[int]] = {name: [] for name in names}
    try:
        with ThreadPoolExecutor(len(names)) as pool:
            try:
                jobs = {pool.submit(buckets.empty, aws, name, deleted[name].append, stop): name for name in names}
                for job in as_completed(jobs):
                    job.result()
                    count = sum(deleted[jobs[job]])
                    if count:
                        yield Emptied(jobs[job], count)
            finally:
                stop.set()
    finally:
        removed.objects += sum(map(sum, deleted.values()))
