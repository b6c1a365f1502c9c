"""S3 buckets: emptying versioned ones, which CloudFormation refuses to delete while full, and uploads to the CDK's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rtp.errors import AwsError, RtpError
from rtp.runtime import partial
from rtp.text import suggest
from rtp.text.elements import many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rtp.aws import Aws
    from rtp.text.elements import Command

_DESTROY = suggest.literal("rtp destroy")
_BATCH = 1000  # the most keys that DeleteObjects accepts
_NO_SUCH_BUCKET = ("NoSuchBucket", "404")


def versions(aws: Aws, bucket: str, *, owner: str = "") -> Iterator[list[dict[str, str]]]:
    """Yield every version and delete marker, in batches for `delete`. A missing bucket has none.

    owner: the account that must own the bucket, where S3 is to check that.
    """
    try:
        yield from (batch for batch in _listed(aws, bucket, owner) if batch)
    except AwsError as error:
        if error.service_code not in _NO_SUCH_BUCKET:
            raise


def delete(
    aws: Aws,
    bucket: str,
    batch: list[dict[str, str]],
    deleted: Callable[[int], None],
    *,
    owner: str = "",
    again: Command = _DESTROY,
) -> None:
    """Delete versions. Raises RtpError when S3 refuses to delete one.

    deleted: called with how many S3 deleted. owner: as in `versions`. again: the command that goes on from there.
    """
    refused: list[dict[str, str]] = []
    passing: list[dict[str, str]] = []

    def remove(objects: list[dict[str, str]]) -> list[dict[str, str]]:
        answer = aws.call(
            "s3", "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True}, **_owned(owner)
        )
        errors = answer.get("Errors", ())
        deleted(len(objects) - len(errors))
        refused.extend(e for e in errors if e.get("Code") not in partial.PASSING)
        passing[:] = [e for e in errors if e.get("Code") in partial.PASSING]
        return [{"Key": e["Key"], "VersionId": e["VersionId"]} for e in passing]

    partial.complete(remove, batch)
    refused += passing
    if refused:
        first = refused[0]
        raise RtpError(
            f"{many(len(refused), 'object')} of {bucket} could not be deleted; the first, {first.get('Key')}: "
            f"{first.get('Message') or first.get('Code')}.",
            hint=suggest.sentence("Remove the object lock or the policy that forbids it, then run {} again.", again),
            code="bucket-not-emptied",
        )


def count(aws: Aws, bucket: str, *, limit: int = 10_000, owner: str = "") -> int | None:
    """Count versions and delete markers, up to `limit`. None for a bucket that does not exist.

    owner: as in `versions`.
    """
    counted = 0
    try:
        for batch in _listed(aws, bucket, owner):
            counted += len(batch)
            if counted >= limit:
                return limit
    except AwsError as error:
        if error.service_code in _NO_SUCH_BUCKET:
            return None
        raise
    return counted


def exists(aws: Aws, bucket: str, key: str) -> bool:
    """Whether the object exists."""
    try:
        aws.call("s3", "head_object", Bucket=bucket, Key=key)
    except AwsError as error:
        if error.service_code in ("404", "NoSuchKey", "NotFound"):
            return False
        raise
    return True


def put(aws: Aws, bucket: str, key: str, file: Path) -> None:
    """Upload a file."""
    with file.open("rb") as body:
        aws.call("s3", "put_object", Bucket=bucket, Key=key, Body=body)


def of_cdk(aws: Aws) -> str:
    """Name of the CDK's bootstrap bucket, which all stacks of the account and region share."""
    return f"cdk-hnb659fds-assets-{aws.account}-{aws.region}"


def publish(aws: Aws, body: bytes, suffix: str) -> str:
    """Upload to the CDK's bucket, under a hash of the contents as the CDK does. Returns the URL for CloudFormation."""
    bucket, key = of_cdk(aws), hashlib.sha256(body).hexdigest() + suffix
    aws.call("s3", "put_object", Bucket=bucket, Key=key, Body=body)
    return f"{aws.client('s3').meta.endpoint_url}/{bucket}/{key}"


def _owned(owner: str) -> dict[str, str]:
    return {"ExpectedBucketOwner": owner} if owner else {}


def _listed(aws: Aws, bucket: str, owner: str = "") -> Iterator[list[dict[str, str]]]:
    token: dict[str, str] = {}
    while True:
        page = aws.call("s3", "list_object_versions", Bucket=bucket, MaxKeys=_BATCH, **_owned(owner), **token)
        versions = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in versions]
        if not page.get("IsTruncated"):
            return
        token = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}


def has_policy(aws: Aws, bucket: str) -> bool:
    """Whether a bucket has a policy. Raises AwsError."""
    try:
        aws.call("s3", "get_bucket_policy", Bucket=bucket)
    except AwsError as error:
        if error.service_code == "NoSuchBucketPolicy":
            return False
        raise
    return True
