"""S3: journals of redrives, purges and replays, and the heads of drills, in rtp's own bucket.

journals/PROJECT/ENV/KEY/KIND/runs/RUN.jsonl            the first batch: with it a journal begins
journals/PROJECT/ENV/KEY/KIND/more/RUN/NUMBER-WRITER.jsonl
journals/PROJECT/ENV/KEY/KIND/marks/RUN/PART-NAME.json  small documents beside it, such as how far the run is
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rtp.aws import objects, own_bucket
from rtp.aws.logs import server_ms
from rtp.errors import AwsError
from rtp.text import times

if TYPE_CHECKING:
    from rtp.aws import Aws

_WRITTEN = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_NO_SUCH_OBJECT = ("NoSuchKey", "404", "NotFound")
_EMPTY = "InvalidRange"


def prefix(project: str, env: str, key_arn: str = "", kind: str = "") -> str:
    """What the keys of a stack's journals begin with, of one kind where it is given. key_arn: of the stack's key.

    A stack that was created again has another key, and none of the messages of the former one.
    """
    base = f"{own_bucket.JOURNALS}{project}/{env}/"
    return f"{base}{key_arn.rpartition('/')[2]}/{kind}/" if key_arn else base


def write(aws: Aws, key: str, body: bytes, key_arn: str, *, once: bool = False) -> bool:
    """Write an object, encrypted by the stack's key. A repeated write is the same object.

    once: only where there is none. Returns False where there is one, which may also be this one, after a lost answer.
    """
    condition = {"IfNoneMatch": "*"} if once else {}
    try:
        aws.call(
            "s3",
            "put_object",
            Body=body,
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId=key_arn,
            BucketKeyEnabled=True,
            **_object(aws, key),
            **condition,
        )
    except AwsError as error:
        if once and error.service_code in _WRITTEN:
            return False
        raise
    return True


class Listed(NamedTuple):
    """An object in a listing. at: S3's time of it, epoch ms. size: bytes."""

    at: int
    size: int


def names(aws: Aws, base: str) -> dict[str, Listed]:
    """The objects below a prefix by their names, in ascending order."""
    place = {"Bucket": own_bucket.name(aws), "ExpectedBucketOwner": aws.account}
    entries = aws.pages("s3", "list_objects_v2", "Contents", Prefix=base, **place)
    return {
        str(entry["Key"]).removeprefix(base): Listed(times.ms(entry["LastModified"]), int(entry["Size"]))
        for entry in entries
    }


def read(aws: Aws, key: str) -> bytes:
    """The contents of an object. Raises NotFoundError where it has expired, RtpError for one that is too large."""
    return objects.get(aws, own_bucket.name(aws), key, owner=aws.account)


def beginning(aws: Aws, key: str, most: int) -> tuple[bytes, int] | None:
    """The first bytes of an object, and how long ago it was written, in ms by S3's clock. None where there is none."""
    try:
        answer, content = objects.read(aws, most, Range=f"bytes=0-{most - 1}", **_object(aws, key))
    except AwsError as error:
        if error.service_code in _NO_SUCH_OBJECT:
            return None
        if error.service_code == _EMPTY:
            return b"", 0
        raise
    written = times.ms(answer["LastModified"])
    return content, max(0, (server_ms(answer) or times.now_ms()) - written)


def _object(aws: Aws, key: str) -> dict[str, str]:
    return {"Bucket": own_bucket.name(aws), "Key": key, "ExpectedBucketOwner": aws.account}
