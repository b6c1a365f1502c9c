"""S3: small objects, and the keys under a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.aws.failures import translated
from rtp.errors import AwsError, EndpointError, NotFoundError, RtpError
from rtp.runtime import partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from rtp.aws import Aws

_NO_SUCH_OBJECT = ("NoSuchKey", "404", "NotFound")
_NOT_GIVEN = ("InvalidObjectState", "InvalidRequest")  # archived, and encrypted with a key that S3 does not have
_BATCH = 1000  # the most keys that DeleteObjects accepts
_READS = 5  # of one object, while its contents end too early
_CHUNK = 1_000_000  # bytes
MOST_BYTES = 256_000_000
"""The largest object that rtp reads: above the largest that it writes, and well within a machine's memory."""


def is_of_one(error: AwsError) -> bool:
    """Whether S3 lists an object and does not give it out, which says nothing about others.

    Another key encrypts it, one that is disabled, deleted, or somebody else's; or it was moved to an archive.
    """
    code = error.service_code
    return error.code == "access-denied" or code in _NOT_GIVEN or code.startswith("KMS.")


def get(aws: Aws, bucket: str, key: str, *, owner: str = "", most: int = MOST_BYTES) -> bytes:
    """The contents of an object. Raises NotFoundError where it does not exist, RtpError where it is larger than `most`.

    owner: the account that must own the bucket, where S3 is to check that.
    """
    expected = {"ExpectedBucketOwner": owner} if owner else {}
    try:
        _, contents = read(aws, most + 1, Bucket=bucket, Key=key, **expected)
    except AwsError as error:
        if error.service_code in _NO_SUCH_OBJECT:
            raise NotFoundError(f"There is no object {key} in {bucket}.", code="no-object") from None
        raise
    if len(contents) > most:
        raise RtpError(
            f"The object {key} in {bucket} has more than {most:,} bytes; rtp writes none of this size.",
            hint="Another program wrote it. Look at it, then delete it or move it elsewhere.",
            code="object-too-large",
        )
    return contents


def read(aws: Aws, most: int, **request: str) -> tuple[dict[str, Any], bytes]:
    """The answer of a GetObject, and the first `most` bytes of its contents. Raises AwsError.

    An answer that ends too early is requested again: botocore repeats only what fails before the contents begin, and
    not an error whose own text is cut off.
    """
    from urllib3.exceptions import HTTPError

    answers: list[tuple[dict[str, Any], bytes]] = []
    failures: list[EndpointError] = []

    def attempt(left: str) -> str:
        try:
            answer = aws.call("s3", "get_object", **request)
        except EndpointError as error:
            if not isinstance(error.__cause__, HTTPError):  # botocore has repeated the others
                raise
            failures.append(error)
            return left
        try:
            with translated(aws, "s3", "get_object"):
                answers.append((answer, _beginning(answer["Body"], most)))
        except EndpointError as error:
            failures.append(error)
            return left
        return ""

    if partial.complete(attempt, request["Key"], calls=_READS):
        raise failures[-1]
    return answers[0]


def _beginning(body: Any, most: int) -> bytes:
    """The first `most` bytes of an answer's body. Read to its end, where botocore checks that nothing is missing."""
    parts: list[bytes] = []
    left = most
    while left and (part := body.read(min(left, _CHUNK))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def keys(aws: Aws, bucket: str, prefix: str, *, after: str = "") -> Iterator[str]:
    """Yield the keys under a prefix, in order, beginning just after the key `after`."""
    start = {"StartAfter": after} if after else {}
    for entry in aws.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix, **start):
        yield str(entry["Key"])


def written(aws: Aws, bucket: str, prefix: str, *, since: datetime) -> list[str]:
    """The keys under a prefix that were written at this time or later."""
    entries = aws.pages("s3", "list_objects_v2", "Contents", Bucket=bucket, Prefix=prefix)
    return [str(entry["Key"]) for entry in entries if entry["LastModified"] >= since]


def delete(aws: Aws, bucket: str, keys: Sequence[str]) -> list[str]:
    """Delete objects; a versioned bucket keeps their versions. Returns the keys of those that S3 did not delete."""
    refused: list[str] = []

    def remove(some: list[str]) -> list[str]:
        answer = aws.call(
            "s3", "delete_objects", Bucket=bucket, Delete={"Objects": [{"Key": key} for key in some], "Quiet": True}
        )
        errors = answer.get("Errors", ())
        refused.extend(str(e["Key"]) for e in errors if e.get("Code") not in partial.PASSING)
        return [str(e["Key"]) for e in errors if e.get("Code") in partial.PASSING]

    for start in range(0, len(keys), _BATCH):
        left: list[str] = partial.complete(remove, list(keys[start : start + _BATCH]))
        refused += left
    return refused
