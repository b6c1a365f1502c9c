"""S3 buckets as a whole: emptying versioned ones, which CloudFormation does not delete full, and filling the CDK's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rtp.errors import AwsError, RtpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rtp.aws import Aws

_BATCH = 1000  # what DeleteObjects takes
_GONE = ("NoSuchBucket", "404")


def versions(aws: Aws, bucket: str) -> Iterator[list[dict[str, str]]]:
    """Every version and delete marker, in batches that `delete` takes; none for a bucket that does not exist."""
    try:
        yield from (batch for batch in _listed(aws, bucket) if batch)
    except AwsError as error:
        if error.service_code not in _GONE:
            raise


def delete(aws: Aws, bucket: str, batch: list[dict[str, str]], deleted: Callable[[int], None]) -> None:
    """Delete versions. deleted: called with how many S3 deleted. Raises RtpError when S3 refuses a single one."""
    answer = aws.call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
    refused = answer.get("Errors", ())
    deleted(len(batch) - len(refused))
    if refused:
        first = refused[0]
        raise RtpError(
            f"{len(refused)} objects of {bucket} could not be deleted; the first, {first.get('Key')}: "
            f"{first.get('Message') or first.get('Code')}.",
            hint="Remove the object lock or the policy that forbids it, then run `rtp destroy` again.",
            code="bucket-not-emptied",
        )


def count(aws: Aws, bucket: str, *, limit: int = 10_000) -> int | None:
    """How many versions and delete markers there are, counted up to `limit`; None for a bucket that does not exist."""
    seen = 0
    try:
        for batch in _listed(aws, bucket):
            seen += len(batch)
            if seen >= limit:
                return limit
    except AwsError as error:
        if error.service_code in _GONE:
            return None
        raise
    return seen


def exists(aws: Aws, bucket: str, key: str) -> bool:
    """Whether there is such an object."""
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
    """Name of the bucket of the CDK's bootstrap, which holds what all stacks of the account and region need."""
    return f"cdk-hnb659fds-assets-{aws.account}-{aws.region}"


def publish(aws: Aws, body: bytes, suffix: str) -> str:
    """Put something into the CDK's bucket, named by its contents as the CDK does; its URL, for CloudFormation."""
    bucket, key = of_cdk(aws), hashlib.sha256(body).hexdigest() + suffix
    aws.call("s3", "put_object", Bucket=bucket, Key=key, Body=body)
    return f"{aws.client('s3').meta.endpoint_url}/{bucket}/{key}"


def _listed(aws: Aws, bucket: str) -> Iterator[list[dict[str, str]]]:
    token: dict[str, str] = {}
    while True:
        page = aws.call("s3", "list_object_versions", Bucket=bucket, MaxKeys=_BATCH, **token)
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in found]
        if not page.get("IsTruncated"):
            return
        token = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page.get("NextVersionIdMarker", "")}
