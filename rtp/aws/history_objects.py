"""S3: the history of an environment, in objects of rtp's own bucket that are written once.

Their names count down, so that S3 lists the newest first.
A run has two: one from its start, and one from its end. A run that was killed has the first alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp.aws import objects, own_bucket
from rtp.aws.logs import server_ms
from rtp.errors import AwsError
from rtp.text import json_values
from rtp.text.given import LATEST_MS, Given, MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws

START, END = "a-start", "b-end"
RELEASES = "releases.json"  # of an environment, among its entries: the numbers of its releases
_FAR_MS = LATEST_MS  # keys count down to it, since S3 lists in ascending order
_NAME = re.compile(rf"(\d{{13}})-([0-9a-z]{{1,40}})\.({START}|{END})\.json", re.ASCII)
_WRITTEN = ("PreconditionFailed", "412")
_NO_SUCH_OBJECT = ("NoSuchKey", "404", "NotFound")
_ARCHIVED = "InvalidObjectState"
_MOST_BYTES = 64_000


@dataclass(frozen=True, slots=True)
class Key:
    """The key of an object. at: when the run began, epoch ms. part: START or END."""

    prefix: str
    at: int
    run: str
    part: str

    @property
    def text(self) -> str:
        """The key as S3 has it."""
        return f"{self.prefix}{_FAR_MS - self.at:013d}-{self.run}.{self.part}.json"


def prefix(project: str, env: str) -> str:
    """What the keys of an environment begin with."""
    return f"{own_bucket.HISTORY}{project}/{env}/"


def caller(aws: Aws) -> tuple[str, int | None]:
    """The ARN of the identity that calls AWS, and AWS's clock in epoch ms where its answer has it. Raises AwsError."""
    answer = aws.call("sts", "get_caller_identity")
    return str(answer.get("Arn", "")), server_ms(answer)


def write(aws: Aws, key: Key, values: dict[str, Any]) -> None:
    """Write an object that does not exist yet. Raises AwsError.

    One that exists is this run's own, whose first answer was lost: its name is random.
    """
    body = json.dumps(values, separators=(",", ":")).encode()
    try:
        aws.call(
            "s3", "put_object", Body=body, ContentType="application/json", IfNoneMatch="*", **_object(aws, key.text)
        )
    except AwsError as error:
        if error.service_code not in _WRITTEN:
            raise


def keys(aws: Aws, prefix: str) -> Iterator[Key | str]:
    """The keys of an environment, the newest run first, of one run its start first. Raises AwsError.

    An object that is no entry by its name is a text, its key.
    """
    place = {"Bucket": own_bucket.name(aws), "ExpectedBucketOwner": aws.account}
    for entry in aws.pages("s3", "list_objects_v2", "Contents", Prefix=prefix, **place):
        text = str(entry["Key"])
        if text != prefix + RELEASES:
            yield _key(prefix, text) or text


def read(aws: Aws, key: Key) -> Given | None:
    """The values of an object; None where it has expired meanwhile. Raises MalformedError for other text, AwsError."""
    try:
        _, content = objects.read(aws, _MOST_BYTES + 1, **_object(aws, key.text))
    except AwsError as error:
        if error.service_code in _NO_SUCH_OBJECT:
            return None
        if error.service_code == _ARCHIVED:
            raise MalformedError("it is archived") from None
        raise
    if len(content) > _MOST_BYTES:
        raise MalformedError(f"it has more than {_MOST_BYTES:,} bytes")
    try:
        return Given(json_values.loads(content))
    except MalformedError:
        raise
    except (ValueError, RecursionError):
        raise MalformedError("it is not JSON") from None


def _key(prefix: str, text: str) -> Key | None:
    """The parts of a key; None for an object that is no entry."""
    match = _NAME.fullmatch(text.removeprefix(prefix))
    return None if match is None else Key(prefix, _FAR_MS - int(match[1]), match[2], match[3])


def _object(aws: Aws, key: str) -> dict[str, str]:
    return {"Bucket": own_bucket.name(aws), "Key": key, "ExpectedBucketOwner": aws.account}
