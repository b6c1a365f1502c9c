"""Deleting a stack with what CloudFormation will not delete by itself: the contents of its buckets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.aws import buckets, stacks
from rtp.ops.stack import apply, causes
from rtp.ops.stack.follow import Follower
from rtp.ops.stack.steps import Cause, Emptied, Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rtp.aws import Aws
    from rtp.aws.stacks import Resource
    from rtp.ops.stack.steps import Step

BUCKET = "AWS::S3::Bucket"
_TRIES = 3  # a bucket may fill again between emptying and deletion, with the last events under way or with access logs


@dataclass(slots=True)
class Removed:
    """What came of it, once the steps are through."""

    status: str = ""
    done: int = 0
    objects: int = 0
    cause: Cause | None = None


def remove(
    aws: Aws,
    stack_id: str,
    removed: Removed,
    *,
    resources: Sequence[Resource],
    keep: frozenset[str] = frozenset(),
    paths: Mapping[str, str],
) -> Iterator[Step]:
    """Empty the stack's buckets and delete it, again where a bucket was refilled meanwhile.

    keep: logical ids that the template retains, whose contents are left alone.
    """
    names = [r.physical_id for r in resources if r.resource_type == BUCKET and r.logical_id not in keep]
    for _ in range(_TRIES):
        yield from _emptied(aws, names, removed)
        yield Phase("deleting")
        follower = Follower(aws, stack_id, frozenset(r.logical_id for r in resources))
        stacks.delete(aws, stack_id)
        yield from apply.told(follower, paths)
        removed.status, removed.done = follower.status, follower.done
        if follower.good:
            return
        if not any(f.resource_type == BUCKET for f in follower.failures):
            break
    removed.cause = causes.first(aws, stack_id, follower.failures, paths, {}, began_ms=0)


def _emptied(aws: Aws, names: Sequence[str], removed: Removed) -> Iterator[Step]:
    if not names:
        return
    yield Phase("emptying buckets")
    aws.client("s3")
    with ThreadPoolExecutor(len(names)) as pool:
        jobs = {pool.submit(_empty, aws, bucket): bucket for bucket in names}
        for job in as_completed(jobs):
            count = job.result()
            removed.objects += count
            if count:
                yield Emptied(jobs[job], count)


def _empty(aws: Aws, bucket: str) -> int:
    return sum(buckets.empty(aws, bucket))
