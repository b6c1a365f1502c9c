"""S3: leases of rtp's own bucket, objects that are written and deleted under a condition.

S3 answers 412 where a condition does not hold, 404 where it needs an object that is gone, and 409 where another write
of the same key runs: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import objects, own_bucket
from rtp.aws.logs import server_ms
from rtp.errors import AwsError
from rtp.text import json_values, times

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws

_NOT_FULFILLED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "OperationAborted", "409")
_NO_SUCH_OBJECT = ("NoSuchKey", "404", "NotFound")
_MOST_BYTES = 64_000


@dataclass(frozen=True, slots=True)
class Written:
    """A lease that was written. etag: of this version. at: epoch ms by S3's clock."""

    etag: str
    at: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A lease as S3 has it. values: its JSON; {} for other text. written, now: epoch ms by S3's clock."""

    values: dict[str, Any]
    etag: str
    written: int
    now: int


def key(name: str) -> str:
    """The key of the lease of this name."""
    return f"{own_bucket.LEASES}{name}.json"


def write(aws: Aws, name: str, values: dict[str, Any], *, instead_of: str = "") -> Written | None:
    """Write a lease where there is none, or in place of the version of this ETag; None where that does not hold.

    None may also follow a write whose answer was lost and that botocore has repeated: `read` then has its values.
    Raises AwsError.
    """
    condition = {"IfMatch": instead_of} if instead_of else {"IfNoneMatch": "*"}
    body = json.dumps(values, separators=(",", ":")).encode()
    try:
        answer = aws.call(
            "s3", "put_object", Body=body, ContentType="application/json", **_object(aws, name), **condition
        )
    except AwsError as error:
        if error.service_code in (*_NOT_FULFILLED, *_NO_SUCH_OBJECT):
            return None
        raise
    return Written(str(answer["ETag"]), server_ms(answer) or times.now_ms())


def read(aws: Aws, name: str) -> Stored | None:
    """The lease of this name; None where there is none. Raises AwsError."""
    try:
        answer, content = objects.read(aws, _MOST_BYTES, **_object(aws, name))
    except AwsError as error:
        if error.service_code in _NO_SUCH_OBJECT:
            return None
        raise
    written = times.ms(answer["LastModified"])
    return Stored(_values(content), str(answer["ETag"]), written, server_ms(answer) or max(written, times.now_ms()))


def delete(aws: Aws, name: str, etag: str) -> bool:
    """Delete the version of this ETag; False where the lease is another one by now, or gone. Raises AwsError."""
    try:
        aws.call("s3", "delete_object", IfMatch=etag, **_object(aws, name))
    except AwsError as error:
        if error.service_code in (*_NOT_FULFILLED, *_NO_SUCH_OBJECT):
            return False
        raise
    return True


def names(aws: Aws) -> Iterator[str]:
    """The names of all leases in the bucket. Raises AwsError."""
    place = {"Bucket": own_bucket.name(aws), "ExpectedBucketOwner": aws.account}
    for entry in aws.pages("s3", "list_objects_v2", "Contents", Prefix=own_bucket.LEASES, **place):
        name = str(entry["Key"]).removeprefix(own_bucket.LEASES).removesuffix(".json")
        if str(entry["Key"]) == key(name):
            yield name


def _values(content: bytes) -> dict[str, Any]:
    try:
        values = json_values.loads(content)
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _object(aws: Aws, name: str) -> dict[str, str]:
    return {"Bucket": own_bucket.name(aws), "Key": key(name), "ExpectedBucketOwner": aws.account}
