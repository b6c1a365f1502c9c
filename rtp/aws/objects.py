"""S3: small objects, and the keys under a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws.failures import translated
from rtp.errors import AwsError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws

_NO_SUCH_OBJECT = ("NoSuchKey", "404", "NotFound")


def get(aws: Aws, bucket: str, key: str) -> bytes:
    """The contents of an object. Raises NotFoundError where it does not exist."""
    try:
        answer = aws.call("s3", "get_object", Bucket=bucket, Key=key)
    except AwsError as error:
        if error.service_code in _NO_SUCH_OBJECT:
            raise NotFoundError(f"There is no object {key} in {bucket}.", code="no-object") from None
        raise
    with translated(aws, "s3", "get_object"):
        content: bytes = answer["Body"].read()
        return content


def keys(aws: Aws, bucket: str, prefix: str, *, after: str = "") -> Iterator[str]:
    """Yield the keys under a prefix, in order, beginning just after the key `after`."""
    start = {"StartAfter": after} if after else {}
    for entry in aws.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix, **start):
        yield str(entry["Key"])
