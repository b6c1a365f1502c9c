"""REST APIs on the engine: one id for a request, `$context` in templates, the size limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rtp.local.patches.api_gateway import MAX_BODY_BYTES

if TYPE_CHECKING:
    from tests.local.engine.conftest import Lab

ECHO = """
import json
def handler(event, context):
    return {"statusCode": 200, "body": json.dumps(event["requestContext"])}
"""


def test_a_request_has_one_id(lab: Lab) -> None:
    base = lab.api({"process": lab.to_function(lab.function(ECHO))})
    _, answered, body = lab.post(f"{base}/process", "{}")
    assert json.loads(body)["requestId"] == answered["x-amzn-requestid"]


def test_templates_have_the_request_s_context(lab: Lab) -> None:
    # Given
    url, arn = lab.queue()
    template = (
        "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"
        "&MessageAttribute.1.Name=request&MessageAttribute.1.Value.DataType=String"
        "&MessageAttribute.1.Value.StringValue=$context.requestId"
        "&MessageAttribute.2.Name=time&MessageAttribute.2.Value.DataType=String"
        "&MessageAttribute.2.Value.StringValue=$context.requestTimeEpoch"
    )
    answer = '{"id": "$context.requestId", "timestamp": $context.requestTimeEpoch}'
    base = lab.api({"events": lab.to_queue(arn, template, answer=answer)})
    # When
    status, answered, body = lab.post(f"{base}/events", '{"a": 1}')
    # Then
    found = json.loads(body)
    assert (status, found["id"]) == (202, answered["x-amzn-requestid"])
    message = lab.call("sqs", "receive_message", QueueUrl=url, MessageAttributeNames=["All"])["Messages"][0]
    assert message["Body"] == '{"a": 1}'
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {"request": found["id"], "time": str(found["timestamp"])}


def test_a_body_over_the_limit_is_refused(lab: Lab) -> None:
    url, arn = lab.queue()
    base = lab.api({"events": lab.to_queue(arn)})
    status, _, body = lab.post(f"{base}/events", "x" * (MAX_BODY_BYTES + 1))
    assert status == 413
    assert "message" in json.loads(body)
    assert lab.depth(url) == (0, 0)
