"""What was deleted by hand: status names it, commands that need it name it, and one deploy brings it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import stacks
from rtp.contract import Output
from rtp.errors import ExitCode
from tests.local.deploy.conftest import STACK

if TYPE_CHECKING:
    from tests.local.conftest import Project

GROUP = f"/aws/lambda/{STACK}-worker"


def test_what_was_deleted_by_hand_is_named_and_created_again(pipeline: Project) -> None:
    # Given a pipeline of which a hand has deleted one resource of each kind
    aws, outputs = pipeline.aws, pipeline.outputs
    aws.call("apigateway", "delete_api_key", apiKey=outputs[Output.API_KEY_ID])
    aws.call("sqs", "delete_queue", QueueUrl=outputs[Output.DLQ_URL])
    aws.call("logs", "delete_log_group", logGroupName=GROUP)
    aws.call("dynamodb", "delete_table", TableName=outputs[Output.TABLE])
    aws.call("lambda", "delete_function", FunctionName=outputs[Output.WORKER])
    bucket = outputs[Output.BUCKET]
    versions = aws.call("s3", "list_object_versions", Bucket=bucket)
    for each in [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]:
        aws.call("s3", "delete_object", Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
    aws.call("s3", "delete_bucket", Bucket=bucket)
    gone = {outputs[Output.API_KEY_ID], f"{STACK}-dlq", GROUP, outputs[Output.TABLE], outputs[Output.WORKER], bucket}

    # Then status and diff name each, and a command that needs one names it
    status = pipeline.rtp("status", "--json").json
    assert {m["name"] for m in status["missing"]} == gone
    assert [p for p in status["problems"] if "could not be read" in p] == []
    assert {m["name"] for m in pipeline.rtp("diff", "--json").json["missing"]} == gone
    send = ("send", "--type", "n", "--data", "{}")
    for command, name in (
        (send, f"API key {outputs[Output.API_KEY_ID]}"),
        (("dlq", "inspect"), f"table {STACK}-table"),  # which has the lease of the DLQ
        (("records",), f"table {STACK}-table"),
    ):
        done = pipeline.rtp(*command, ok=False)
        assert done.code == ExitCode.NOT_FOUND
        assert f"The {name} does not exist." in done.stderr and "`rtp deploy`" in done.stderr
    assert f"no log group {GROUP}" in pipeline.rtp("logs").stderr

    # When it is deployed again, unchanged / Then everything is there and works
    deployed = pipeline.rtp("deploy", "--yes")
    assert "updated" in deployed.stdout + deployed.stderr
    assert pipeline.rtp("status", "--json").json["missing"] == []
    assert pipeline.rtp(*send).stdout.startswith("processed")
    assert pipeline.rtp(*send, "--via", "events", "--wait").stdout.startswith("processed")
    assert "unchanged" in pipeline.rtp("deploy", "--yes").stderr
    assert {r.physical_id for r in stacks.resources(aws, STACK)} >= gone - {outputs[Output.API_KEY_ID], f"{STACK}-dlq"}
