"""Empties buckets before CloudFormation deletes them: a stack deleted from the console must not stop at a full one.

A custom resource of unprotected stacks. Answers CloudFormation itself, and always: it waits an hour for an answer.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

PAGE = 1000  # the most that one delete_objects takes
MARGIN_MS = 20_000  # to answer in, before Lambda ends the call


def handler(event: dict[str, Any], context: Any) -> None:
    """CloudFormation's Create, Update and Delete of the resource; only Delete does anything."""
    reason = ""
    try:
        if event["RequestType"] == "Delete":
            import boto3

            client = boto3.client("s3")
            for bucket in event["ResourceProperties"]["Buckets"]:
                empty(client, bucket, context.get_remaining_time_in_millis)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:1000]
        print(json.dumps({"level": "ERROR", "step": "empty", "message": reason}))  # noqa: T201 (Lambda's log)
    _answer(event, reason)


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


def _answer(event: dict[str, Any], reason: str) -> None:
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason or "done",
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(event["ResponseURL"], json.dumps(body).encode(), method="PUT")  # noqa: S310
    request.add_header("Content-Type", "")  # the URL is signed for that
    urllib.request.urlopen(request, timeout=15).close()  # noqa: S310 (the URL is CloudFormation's)
