"""Empties a stack's buckets while CloudFormation deletes the whole stack, and at no other time.

A custom resource of unprotected stacks: deleting a stack in the console must not fail because of a full bucket.
CloudFormation also sends Delete when an update removes or replaces the resource, and when it rolls back an update that
added it. The buckets remain in these cases: the function reads the stack's status from CloudFormation, and each bucket
must have a tag with the stack's id. If the status or a tag is unknown, the function deletes nothing.
It responds to every request, because CloudFormation waits an hour for a response.
"""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from rtp.runtime import partial

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 1000  # maximum of one delete_objects
MARGIN_MS = 20_000  # for the response, before Lambda ends the call
# A stack has these statuses only while all of it is deleted: on request, or because its creation failed.
# A repeated deletion after DELETE_FAILED has the status DELETE_IN_PROGRESS again.
DELETED_WHOLE = ("DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
# DescribeStacks is eventually consistent, and CloudFormation sends Delete only during an operation. So a status other
# than those, and than that of a running update or import, is the one before the operation, and is asked for again.
UPDATES = ("UPDATE_", "IMPORT_")
STALE_S = 30.0
PAUSE_S = 1.0
ATTEMPTS = 8  # of a call that is throttled or fails temporarily; botocore waits up to 20 s between two


def _client(service: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "total_max_attempts": ATTEMPTS}, connect_timeout=5, read_timeout=15)
    client: Any = boto3.client  # its type needs the literal name of a service
    return client(service, config=config)


def guarded_handler(
    event: dict[str, Any],
    context: Any,
    client: Callable[[str], Any] = _client,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Handle Create, Update and Delete of the resource; only the Delete of a whole stack deletes objects.

    A deploy recognises the emptier of rtp 0.1.0, which emptied the buckets at every Delete, by its handler's name.
    """
    failure = ""
    if event["RequestType"] == "Delete":
        try:
            _empty_all(event, context, client, sleep)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"[:1000]
            _log("ERROR", failure)
    _answer(event, failure)


def _empty_all(
    event: dict[str, Any], context: Any, client: Callable[[str], Any], sleep: Callable[[float], None]
) -> None:
    stack_id, properties = event["StackId"], event.get("ResourceProperties", {})
    try:
        status = current_status(client("cloudformation"), stack_id, sleep)
    except Exception as error:
        _log("ERROR", f"nothing was deleted, because the stack's status is unknown: {type(error).__name__}: {error}")
        return
    if status not in DELETED_WHOLE:
        _log("INFO", f"nothing was deleted, because the stack remains: its status is {status or 'unknown'}")
        return
    s3 = client("s3")
    for bucket in properties.get("Buckets", ()):
        try:
            marked = is_marked(s3, bucket, properties.get("Tag"), stack_id)
        except Exception as error:
            _log("ERROR", f"nothing was deleted from {bucket}, whose tags are unknown: {type(error).__name__}: {error}")
            continue
        if not marked:
            _log("WARNING", f"nothing was deleted from {bucket}, which does not have the tag of this stack")
            continue
        _log("INFO", f"{empty(s3, bucket, context.get_remaining_time_in_millis)} versions deleted from {bucket}")


def current_status(cloudformation: Any, stack_id: str, sleep: Callable[[float], None]) -> str:
    """As `stack_status`, asked again while the answer can only be older than the request to delete."""
    status = stack_status(cloudformation, stack_id)
    for _ in range(int(STALE_S / PAUSE_S)):
        if status in DELETED_WHOLE or (status.startswith(UPDATES) and status.endswith("_IN_PROGRESS")):
            break
        sleep(PAUSE_S)
        status = stack_status(cloudformation, stack_id)
    return status


def stack_status(cloudformation: Any, stack_id: str) -> str:
    """Return the status of exactly this stack, not of a later one with its name; empty if there is none."""
    stacks = cloudformation.describe_stacks(StackName=stack_id)["Stacks"]
    return next((str(stack["StackStatus"]) for stack in stacks if stack["StackId"] == stack_id), "")


def is_marked(s3: Any, bucket: str, tag: str | None, stack_id: str) -> bool:
    """Whether the bucket has the tag with this stack's id. Buckets of other stacks, and imported ones, do not."""
    tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    return bool(tag) and {"Key": tag, "Value": stack_id} in tags


def empty(s3: Any, bucket: str, remaining_ms: Any) -> int:
    """Delete every version and delete marker of bucket and return how many; 0 if there is no such bucket."""
    count = 0

    def delete(objects: list[dict[str, str]]) -> list[dict[str, str]]:
        """Delete versions. Returns those that S3 may delete later; raises RuntimeError for others."""
        errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors") or ()
        for error in errors:
            if error.get("Code") not in partial.PASSING:
                raise RuntimeError(f"{bucket}: {error.get('Code')}: {error.get('Message')}")
        return [{"Key": error["Key"], "VersionId": error["VersionId"]} for error in errors]

    try:
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": PAGE}
        ):
            versions = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if not versions:
                continue
            if remaining_ms() < MARGIN_MS:
                raise TimeoutError(f"{bucket} has too many objects for one call; empty it and delete the stack again")
            objects = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
            left = partial.complete(delete, objects)
            if left:
                raise RuntimeError(f"{bucket}: S3 did not delete {len(left)} of its objects, repeatedly")
            count += len(objects)
    except s3.exceptions.NoSuchBucket:
        pass
    return count


def _log(level: str, message: str) -> None:
    print(json.dumps({"level": level, "step": "empty", "message": message[:1000]}))  # noqa: T201 (Lambda's log)


def _answer(event: dict[str, Any], failure: str) -> None:
    """Respond to CloudFormation. SUCCESS even if nothing was deleted: FAILED would stop the update or rollback."""
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
