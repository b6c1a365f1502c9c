"""Buckets of stacks: they get the tags of their template, and one that is not empty is not deleted.

Without this, CloudFormation here leaves a bucket without tags, and deletes it with every object in it, which S3 refuses
on AWS. A stack that loses data on AWS, or cannot be deleted there, would do well here.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from rtp.local.patches import MismatchError, require

if TYPE_CHECKING:
    from collections.abc import Callable

_BUCKET = "AWS::S3::Bucket"


def apply() -> None:
    """Install the patch."""
    from ministack.services import s3
    from ministack.services.cloudformation import provisioners

    require(provisioners, "_RESOURCE_HANDLERS")
    require(s3, "_buckets", "_bucket_tags", "_delete_bucket")
    handlers: dict[str, dict[str, Callable[..., Any]]] = provisioners._RESOURCE_HANDLERS
    handler = handlers.get(_BUCKET, {})
    if not {"create", "update", "delete"} <= handler.keys():
        raise MismatchError(f"{_BUCKET} is not created, updated and deleted")

    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        made = handler["create"](logical_id, props, stack_name)
        tag(made[0], props)
        return made

    def update(id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> Any:
        made = handler["update"](id, old, new, stack_name)
        tag(made[0], new)
        return made

    def tag(name: str, props: dict[str, Any]) -> None:
        s3._bucket_tags.pop(name, None)
        if props.get("Tags"):
            s3._bucket_tags[name] = {t["Key"]: t["Value"] for t in props["Tags"]}

    def delete(id: str, props: dict[str, Any]) -> None:
        if id in s3._buckets:
            status, _, body = s3._delete_bucket(id)
            if status >= 400:
                raise ValueError(f"{_message(body)} (Service: S3, Status Code: {status})")
        handler["delete"](id, props)

    handlers[_BUCKET] = {**handler, "create": create, "update": update, "delete": delete}


def _message(body: bytes) -> str:
    return ET.fromstring(body).findtext("Message") or "S3 has refused"  # noqa: S314 - the engine's own answer
