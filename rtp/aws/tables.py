"""DynamoDB: a table's protection from deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.aws import Aws


def is_protected(aws: Aws, name: str) -> bool:
    """Whether DynamoDB refuses to delete the table. Raises AwsError."""
    return bool(aws.call("dynamodb", "describe_table", TableName=name)["Table"].get("DeletionProtectionEnabled"))


def protect(aws: Aws, name: str, *, on: bool) -> None:
    """Switch the protection. Raises AwsError, ResourceInUseException while the table is being changed."""
    aws.call("dynamodb", "update_table", TableName=name, DeletionProtectionEnabled=on)
