"""S3: small objects by key, and listing a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws.failures import translated
from rtp.errors import AwsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws

_ABSENT = ("NoSuchKey", "404", "NotFound")


def get(aws: Aws, bucket: str, key: str) -> bytes:
    """An object's bytes. Raises NotFoundError where there is none."""
    try:
        answer = aws.call("s3", "get_object", Bucket=bucket, Key=key)
    except AwsError as error:
        if error.service_code in _ABSENT:
            raise NotFoundError(f"There is no object {key} in {bucket}.", code="no-object") from None
        raise
    with translated(aws, "s3", "get_object"):
        content: bytes = answer["Body"].read()
        return content


def keys(aws: Aws, bucket: str, prefix: str, *, after: str = "") -> Iterator[str]:
    """List the keys of the objects under a prefix, in order, from just after a key on."""
    more = {"StartAfter": after} if after else {}
    for item in aws.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix, **more):
        yield item["Key"]
