"""KMS: the key behind an alias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.errors import AwsError

if TYPE_CHECKING:
    from rtp.aws import Aws


def behind(aws: Aws, alias: str) -> str | None:
    """Id of the usable key behind an alias; None where there is none. Raises AwsError."""
    try:
        metadata = aws.call("kms", "describe_key", KeyId=alias)["KeyMetadata"]
    except AwsError as error:
        if error.service_code == "NotFoundException":
            return None
        raise
    return None if metadata.get("KeyState") == "PendingDeletion" else str(metadata["KeyId"])
