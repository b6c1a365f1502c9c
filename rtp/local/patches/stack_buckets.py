"""Buckets of stacks: they get the tags of their template, and one that is not empty is not deleted."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import MismatchError, Patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

_BUCKET = "AWS::S3::Bucket"


def install(_: Telemetry) -> None:
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
        result = handler["create"](logical_id, props, stack_name)
        tag(result[0], props)
        return result

    def update(id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> Any:
        result = handler["update"](id, old, new, stack_name)
        tag(result[0], new)
        return result

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


PATCH = Patch(
    name="stack_buckets",
    aws="A stack's bucket has the tags of its template, and one that is not empty is not deleted.",
    engine="The bucket has no tags, and is deleted with every object in it.",
    test="tests/local/engine/test_patches.py::a_stack_s_bucket_has_no_tags_and_is_deleted_full",
    install=install,
)


def _message(body: bytes) -> str:
    return ET.fromstring(body).findtext("Message") or "S3 has refused"  # noqa: S314 - the engine's own answer
