"""S3: rtp's own bucket, one for each account and region, with leases, the history of commands, journals and releases.

Every call names the account that must own the bucket, so that a bucket of this name in another account is never used.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.aws import buckets
from rtp.contract import own_bucket, partition
from rtp.errors import AwsError, RefusedError, RtpError
from rtp.text import suggest

if TYPE_CHECKING:
    from rtp.aws import Aws

LEASES = "leases/"
"""Prefix of the keys of leases."""
HISTORY = "history/"
"""Prefix of the keys of the history."""
HISTORY_DAYS = 400
JOURNALS = "journals/"
"""Prefix of the keys of the journals of redrives, purges and replays, which have the texts of messages."""
JOURNAL_DAYS = 30
RELEASES = "releases/"
"""Prefix of the keys of releases, which stay until deploys replace them."""
_TAG = ("rtp:bucket", "leases")  # says that rtp made the bucket
_LEASE_DAYS, _OLD_LEASE_DAYS, _OLD_VERSION_DAYS = 1, 7, 30
_ABSENT = ("404", "NoSuchBucket")
_DENIED, _ELSEWHERE = ("403", "AccessDenied"), ("301", "PermanentRedirect")
_REMOVE = suggest.literal("rtp bootstrap --remove")


def name(aws: Aws) -> str:
    """The bucket's name."""
    return own_bucket(aws.account, aws.region)


def exists(aws: Aws) -> bool:
    """Whether the bucket exists in this account. Raises AwsError, also where it is another account's."""
    try:
        aws.call("s3", "head_bucket", **_bucket(aws))
    except AwsError as error:
        if error.service_code in _ABSENT:
            return False
        if error.service_code in _DENIED:  # the answer to a HEAD has no text
            raise AwsError(
                f"The bucket {name(aws)} may not be read, or is another account's.",
                hint="`rtp doctor --policy reader` prints the permissions.",
                code="access-denied",
                service_code=error.service_code,
            ) from None
        raise
    return True


def create(aws: Aws) -> bool:
    """Create the bucket, or complete and update the settings of an existing one. Returns whether it is new.

    Each call sets a whole setting, so a repetition after a cut at any point completes the bucket. Raises RtpError.
    """
    is_new = _create(aws)
    bucket = _bucket(aws)
    if not is_new:
        _check_ours(aws, "Nothing was changed.")
    blocked = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    aws.call("s3", "put_public_access_block", PublicAccessBlockConfiguration=blocked, **bucket)
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    aws.call("s3", "put_bucket_ownership_controls", OwnershipControls=owned, **bucket)
    tags = [{"Key": _TAG[0], "Value": _TAG[1]}, {"Key": "ManagedBy", "Value": "rtp"}]
    aws.call("s3", "put_bucket_tagging", Tagging={"TagSet": tags}, **bucket)
    encrypted = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    aws.call("s3", "put_bucket_encryption", ServerSideEncryptionConfiguration=encrypted, **bucket)
    aws.call("s3", "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}, **bucket)
    aws.call("s3", "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": lifecycle()}, **bucket)
    aws.call("s3", "put_bucket_policy", Policy=json.dumps(policy(aws)), **bucket)
    return is_new


def remove(aws: Aws) -> int | None:
    """Delete the bucket with all versions in it. Returns how many there were; None where there is no bucket.

    Raises RefusedError where the bucket is not rtp's, or where something was written to it meanwhile.
    """
    if not exists(aws):
        return None
    _check_ours(aws, "Nothing was deleted.")
    bucket = _bucket(aws)
    deleted: list[int] = []
    for batch in buckets.versions(aws, **_named(aws)):
        buckets.delete(aws, batch=batch, deleted=deleted.append, again=_REMOVE, **_named(aws))
    try:
        aws.call("s3", "delete_bucket", **bucket)
    except AwsError as error:
        if error.service_code == "BucketNotEmpty":
            raise RefusedError(
                f"Something was written to {name(aws)} meanwhile, so it was emptied and not deleted.",
                hint="A deploy has begun, perhaps on another machine. Wait for its end, then repeat the command.",
                code="locked",
            ) from None
        if error.service_code not in _ABSENT:
            raise
    return sum(deleted)


def lifecycle() -> list[dict[str, Any]]:
    """The rules by which S3 deletes leases, history and old versions, each after its time."""
    return [
        {
            "ID": "leases",
            "Status": "Enabled",
            "Filter": {"Prefix": LEASES},
            "Expiration": {"Days": _LEASE_DAYS},  # a lease that is renewed is a new object each time
            "NoncurrentVersionExpiration": {"NoncurrentDays": _OLD_LEASE_DAYS},
        },
        {
            "ID": "history",
            "Status": "Enabled",
            "Filter": {"Prefix": HISTORY},
            "Expiration": {"Days": HISTORY_DAYS},
        },
        {
            "ID": "journals",
            "Status": "Enabled",
            "Filter": {"Prefix": JOURNALS},
            "Expiration": {"Days": JOURNAL_DAYS},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
        {
            "ID": "old-versions",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": _OLD_VERSION_DAYS},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        },
    ]


def policy(aws: Aws) -> dict[str, Any]:
    """The bucket's policy: TLS 1.2 or newer alone."""
    arn = f"arn:{partition(aws.region)}:s3:::{name(aws)}"
    denied = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "TlsAlone", **denied, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
            {"Sid": "NoOldTls", **denied, "Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}},
        ],
    }


def _create(aws: Aws) -> bool:
    """Create the bucket; False where this account has it. Raises RtpError where another account has the name."""
    try:
        if exists(aws):
            return False
    except AwsError as error:
        if error.service_code not in (*_DENIED, *_ELSEWHERE):  # CreateBucket distinguishes these cases
            raise
    place = {} if aws.region == "us-east-1" else {"LocationConstraint": aws.region}
    try:
        configuration = {"CreateBucketConfiguration": place} if place else {}
        aws.call("s3", "create_bucket", Bucket=name(aws), **configuration)
    except AwsError as error:
        if error.service_code == "BucketAlreadyOwnedByYou":
            return False
        if error.service_code == "BucketAlreadyExists":
            raise RtpError(
                f"A bucket {name(aws)} exists in another account, so this account and region cannot have it.",
                hint="Deploys work without it: then they exclude each other on one machine alone.",
                code="bucket-taken",
            ) from None
        raise
    return True


def _check_ours(aws: Aws, end: str) -> None:
    """Raises RefusedError where rtp did not make the bucket. One without tags and objects is what a cut has left."""
    try:
        tags = aws.call("s3", "get_bucket_tagging", **_bucket(aws)).get("TagSet", ())
    except AwsError as error:
        if error.service_code != "NoSuchTagSet":
            raise
        tags = ()
    if _TAG in {(tag["Key"], tag["Value"]) for tag in tags}:
        return
    if tags or any(True for _ in buckets.versions(aws, **_named(aws))):
        raise RefusedError(
            f"The bucket {name(aws)} was not made by rtp: it has no tag {_TAG[0]} = {_TAG[1]}. {end}",
            hint="Remove that bucket, or give it this tag if it is rtp's.",
            code="foreign-bucket",
        )


def _bucket(aws: Aws) -> dict[str, str]:
    """The parameters of a call about the bucket: its name, and the account that must own it."""
    return {"Bucket": name(aws), "ExpectedBucketOwner": aws.account}


def _named(aws: Aws) -> dict[str, str]:
    return {"bucket": name(aws), "owner": aws.account}
