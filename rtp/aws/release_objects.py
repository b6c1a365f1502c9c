"""S3: the releases of an environment in rtp's own bucket, each with its description and template, and their assets.

releases/PROJECT/ENV/HASH/release.json   written last, so all that it names is there
releases/PROJECT/ENV/HASH/template.json
releases/PROJECT/ENV/assets/KEY          under the key of the CDK's bucket, which is a hash of the contents
history/PROJECT/ENV/releases.json        numbers and commits, also of releases that are not kept any more: who reads
                                         the history may read it
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import history_objects, objects, own_bucket
from rtp.errors import AwsError
from rtp.text import times

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws import Aws

RELEASE, TEMPLATE = "release.json", "template.json"
_ASSETS = "assets"
_JSON = "application/json"
_ABSENT = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")
# What S3 answers where a copy cannot be made by these credentials; an upload from this machine may still be.
_NO_COPY = (*_ABSENT, "AccessDenied", "InvalidObjectState", "KMS.DisabledException", "KMS.NotFoundException")


@dataclass(frozen=True, slots=True)
class Listing:
    """What the bucket has of an environment.

    releases: names with a description, and S3's time of it, epoch ms. parts: names with any object.
    """

    releases: dict[str, int] = field(default_factory=dict)
    parts: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def assets(self) -> frozenset[str]:
        """Keys of the assets, as in the CDK's bucket."""
        return self.parts.get(_ASSETS, frozenset())


def count(aws: Aws, project: str, env: str) -> int:
    """How many releases are there; 0 without the bucket. Raises AwsError."""
    try:
        return len(listing(aws, prefix(project, env)).releases)
    except AwsError as error:
        if error.service_code in _ABSENT:
            return 0
        raise


def prefix(project: str, env: str) -> str:
    """What the keys of an environment begin with."""
    return f"{own_bucket.RELEASES}{project}/{env}/"


def listing(aws: Aws, base: str) -> Listing:
    """What is there of an environment. base: its prefix. Raises AwsError."""
    parts: dict[str, set[str]] = {}
    releases: dict[str, int] = {}
    place = {"Bucket": own_bucket.name(aws), "ExpectedBucketOwner": aws.account}
    for entry in aws.pages("s3", "list_objects_v2", "Contents", Prefix=base, **place):
        part, _, name = str(entry["Key"]).removeprefix(base).partition("/")
        parts.setdefault(part, set()).add(name)
        if name == RELEASE:
            releases[part] = times.ms(entry["LastModified"])
    return Listing(releases, {part: frozenset(names) for part, names in parts.items()})


def read(aws: Aws, base: str, release: str, name: str, *, most: int) -> bytes:
    """A file of a release. Raises NotFoundError where it is gone, RtpError for more than `most` bytes, and AwsError."""
    return objects.get(aws, own_bucket.name(aws), f"{base}{release}/{name}", owner=aws.account, most=most)


def names(aws: Aws, project: str, env: str, *, most: int) -> bytes:
    """The names of the releases. Raises as `read`."""
    return objects.get(aws, own_bucket.name(aws), _names_key(project, env), owner=aws.account, most=most)


def write_names(aws: Aws, project: str, env: str, body: bytes) -> None:
    """Replace the names of the releases."""
    aws.call("s3", "put_object", Body=body, ContentType=_JSON, **_object(aws, _names_key(project, env)))


def _names_key(project: str, env: str) -> str:
    return history_objects.prefix(project, env) + history_objects.RELEASES


def asset(aws: Aws, base: str, key: str, *, most: int) -> bytes:
    """The contents of an asset. Raises as `read`."""
    return objects.get(aws, own_bucket.name(aws), asset_key(base, key), owner=aws.account, most=most)


def write(aws: Aws, base: str, release: str, name: str, body: bytes) -> None:
    """Write a file of a release, or replace it."""
    aws.call("s3", "put_object", Body=body, ContentType=_JSON, **_object(aws, f"{base}{release}/{name}"))


def upload(aws: Aws, base: str, key: str, file: Path) -> None:
    """Write an asset from a file."""
    with file.open("rb") as body:
        aws.call("s3", "put_object", Body=body, **_object(aws, asset_key(base, key)))


def copy_in(aws: Aws, base: str, key: str, bucket: str) -> bool:
    """Copy an asset from the CDK's bucket, within S3; False where it is not there or may not be read."""
    return _copied(aws, (bucket, key), (own_bucket.name(aws), asset_key(base, key)))


def copy_out(aws: Aws, base: str, key: str, bucket: str) -> bool:
    """Copy an asset back to the CDK's bucket; False where that is gone or may not be written."""
    return _copied(aws, (own_bucket.name(aws), asset_key(base, key)), (bucket, key))


def is_published(aws: Aws, bucket: str, key: str) -> bool:
    """Whether the CDK's bucket, if it is of this account, has the asset. Raises AwsError."""
    try:
        aws.call("s3", "head_object", Bucket=bucket, Key=key, ExpectedBucketOwner=aws.account)
    except AwsError as error:
        if error.service_code in (*_ABSENT, "403", "AccessDenied"):  # without ListBucket the answer is 403
            return False
        raise
    return True


def asset_key(base: str, key: str) -> str:
    """The key of an asset in rtp's own bucket."""
    return f"{base}{_ASSETS}/{key}"


def delete(aws: Aws, base: str, names: list[str]) -> None:
    """Delete objects by their names below the prefix, in this order. One that is gone is no error."""
    for name in names:
        aws.call("s3", "delete_object", **_object(aws, f"{base}{name}"))


def asset_names(keys: frozenset[str]) -> list[str]:
    """The names of assets for `delete`."""
    return [f"{_ASSETS}/{key}" for key in sorted(keys)]


def _copied(aws: Aws, source: tuple[str, str], to: tuple[str, str]) -> bool:
    owner = aws.account
    try:
        aws.call(
            "s3",
            "copy_object",
            Bucket=to[0],
            Key=to[1],
            CopySource={"Bucket": source[0], "Key": source[1]},
            TaggingDirective="REPLACE",  # to copy the tags needs more permissions
            ExpectedBucketOwner=owner,
            ExpectedSourceBucketOwner=owner,
        )
    except AwsError as error:
        if error.service_code in _NO_COPY:
            return False
        raise
    return True


def _object(aws: Aws, key: str) -> dict[str, str]:
    return {"Bucket": own_bucket.name(aws), "Key": key, "ExpectedBucketOwner": aws.account}
