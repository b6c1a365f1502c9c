"""Empties a stack's buckets while CloudFormation deletes the whole stack, and at no other time.

A custom resource of unprotected stacks: a stack that is deleted from the console must not stop at a full bucket.
CloudFormation sends Delete also when an update removes or replaces the resource, and when it rolls back an update that
added it. The buckets stay then, so the function asks CloudFormation what is happening to the stack, and each bucket
must carry a tag with the stack's id. Whatever it cannot find out, it deletes nothing.
It answers every request, because CloudFormation waits an hour for an answer.
"""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 1000  # the most that one delete_objects takes
MARGIN_MS = 20_000  # to answer in, before Lambda ends the call
# A stack is in these states only while all of it is deleted: on request, or because its creation failed.
# A repeated deletion after DELETE_FAILED is DELETE_IN_PROGRESS again.
DELETED_WHOLE = ("DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
ATTEMPTS = 8  # of one call that is throttled or fails in passing; botocore waits up to 20 s between two


def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS}, connect_timeout=5, read_timeout=15)
    client: Any = boto3.client  # which is typed for every service by its literal name
    return client(service, config=config)


def guarded_handler(event: dict[str, Any], context: Any, client: Callable[[str], Any] = _client) -> None:
    """CloudFormation's Create, Update and Delete of the resource; only the Delete of a whole stack does anything.

    A deploy tells the functions of rtp 0.1.0, which emptied the buckets at every Delete, by their handler's name.
    """
    failure = ""
    if event["RequestType"] == "Delete":
        try:
            _empty_all(event, context, client)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"[:1000]
            _log("ERROR", failure)
    _answer(event, failure)


def _empty_all(event: dict[str, Any], context: Any, client: Callable[[str], Any]) -> None:
    stack_id, properties = event["StackId"], event.get("ResourceProperties", {})
    try:
        status = stack_status(client("cloudformation"), stack_id)
    except Exception as error:
        _log("ERROR", f"nothing was deleted, since the stack's status is unknown: {type(error).__name__}: {error}")
        return
    if status not in DELETED_WHOLE:
        _log("INFO", f"nothing was deleted, since the stack is {status or 'unknown'} and stays")
        return
    s3 = client("s3")
    for bucket in properties.get("Buckets", ()):
        try:
            marked = is_marked(s3, bucket, properties.get("Tag"), stack_id)
        except Exception as error:
            _log("ERROR", f"nothing was deleted from {bucket}, whose tags are unknown: {type(error).__name__}: {error}")
            continue
        if not marked:
            _log("WARNING", f"nothing was deleted from {bucket}, which does not carry the tag of this stack")
            continue
        _log("INFO", f"{empty(s3, bucket, context.get_remaining_time_in_millis)} versions deleted from {bucket}")


def stack_status(cloudformation: Any, stack_id: str) -> str:
    """What CloudFormation says of exactly this stack, and not of a later one of its name; empty for nothing."""
    stacks = cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
    return next((str(stack["StackStatus"]) for stack in stacks if stack["StackId"] == stack_id), "")


def is_marked(s3: Any, bucket: str, tag: str | None, stack_id: str) -> bool:
    """Whether the bucket carries the tag with this stack's id. One of another stack, or that was imported, does not."""
    tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    return bool(tag) and {"Key": tag, "Value": stack_id} in tags


def empty(s3: Any, bucket: str, remaining_ms: Any) -> int:
    """Delete every version and delete marker of bucket and return how many; nothing if the bucket is gone already."""
    count = 0
    try:
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": PAGE}
        ):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if not found:
                continue
            if remaining_ms() < MARGIN_MS:
                raise TimeoutError(f"{bucket} holds too much to empty in one call; empty it and delete the stack again")
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors")
            if errors:
                raise RuntimeError(f"{bucket}: {errors[0].get('Code')}: {errors[0].get('Message')}")
            count += len(objects)
    except s3.exceptions.NoSuchBucket:
        pass
    return count


def _log(level: str, message: str) -> None:
    print(json.dumps({"level": level, "step": "empty", "message": message[:1000]}))  # noqa: T201 (Lambda's log)


def _answer(event: dict[str, Any], failure: str) -> None:
    """SUCCESS also where nothing was deleted on purpose: FAILED would stop the update or rollback that asked."""
    body = {
        "Status": "FAILED" if failure else "SUCCESS",
        "Reason": failure or "done",
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(event["ResponseURL"], json.dumps(body).encode(), method="PUT")  # noqa: S310
    request.add_header("Content-Type", "")  # the URL is signed for that
    urllib.request.urlopen(request, timeout=15).close()  # noqa: S310 (the URL is CloudFormation's)
