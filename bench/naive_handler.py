"""The worker as it is usually written: resource and client, all traced, one event after the other, two writes each.

It reads the same table and bucket variables as rtp's functions. It is a fair comparison: clients are created once,
numbers are exact, and errors fail the batch. It does not detect duplicates or retry single messages, and has no
dead-letter queue.
"""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import boto3  # noqa: TID253 - a handler that is not part of rtp
from aws_xray_sdk.core import patch_all, xray_recorder

patch_all()
logger = logging.getLogger()
logger.setLevel("INFO")
table = boto3.resource("dynamodb").Table(os.environ["RTP_TABLE"])
s3 = boto3.client("s3")


def handler(batch: dict[str, Any], context: Any) -> dict[str, Any]:
    for record in batch["Records"]:
        event = json.loads(record["body"], parse_float=Decimal)
        with xray_recorder.in_subsegment("process"):
            result = process(event)
        now = datetime.now(UTC)
        table.put_item(
            Item={
                "id": event["id"],
                "timestamp": event["timestamp"],
                "status": "processed",
                "type": event["type"],
                "data": event["data"],
                "result": result,
                "processed_at": now.isoformat(),
                "request_id": context.aws_request_id,
            }
        )
        s3.put_object(
            Bucket=os.environ["RTP_BUCKET"],
            Key=f"processed/{now:%Y/%m/%d}/{event['id']}.json",
            Body=json.dumps({"event": event, "result": result}, default=str),
            ContentType="application/json",
        )
        logger.info(json.dumps({"message": "event processed", "id": event["id"], "type": event["type"]}))
    return {"batchItemFailures": []}


def process(event: dict[str, Any]) -> dict[str, Any]:
    return {"total_cents": round(event["data"]["total"] * 100)}
