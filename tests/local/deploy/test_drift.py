"""What was deleted by hand: status names it, commands that need it name it, and one deploy brings it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws import stacks
from rtp.contract import Output
from rtp.errors import ExitCode
from tests.local.deploy.conftest import STACK

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.local.conftest import Project

GROUP = f"/aws/lambda/{STACK}-worker"


def test_what_was_deleted_by_hand_is_named_and_created_again(pipeline: Project) -> None:
    # Given a pipeline of which a hand deletes one resource of each kind after the other
    aws, outputs = pipeline.aws, pipeline.outputs
    bucket, worker, key = outputs[Output.BUCKET], outputs[Output.WORKER], outputs[Output.API_KEY_ID]
    send = ("send", "--type", "n", "--data", "{}")

    def delete_bucket() -> None:
        versions = aws.call("s3", "list_object_versions", Bucket=bucket)
        for each in [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]:
            aws.call("s3", "delete_object", Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
        aws.call("s3", "delete_bucket", Bucket=bucket)

    def delete(service: str, operation: str, **params: str) -> Callable[[], object]:
        return lambda: aws.call(service, operation, **params)

    gone = {key, f"{STACK}-dlq", GROUP, outputs[Output.TABLE], worker, bucket}
    steps: list[tuple[Callable[[], object], tuple[str, ...], int, str]] = [
        (
            delete("sqs", "delete_queue", QueueUrl=outputs[Output.DLQ_URL]),
            ("dlq", "inspect"),
            ExitCode.NOT_FOUND,
            f"The queue {STACK}-dlq does not exist.",
        ),
        (
            delete("lambda", "delete_function", FunctionName=worker),
            (*send, "--via", "events", "--wait", "--timeout", "3"),
            ExitCode.TIMED_OUT,
            f"The function {worker} was deleted outside CloudFormation",
        ),
        (
            delete_bucket,
            ("replay", "--since", "1h", "--dry-run"),
            ExitCode.NOT_FOUND,
            f"The bucket {bucket} does not exist.",
        ),
        (
            delete("apigateway", "delete_api_key", apiKey=key),
            send,
            ExitCode.NOT_FOUND,
            f"The API key {key} does not exist.",
        ),
        (
            delete("dynamodb", "delete_table", TableName=outputs[Output.TABLE]),
            ("records",),
            ExitCode.NOT_FOUND,
            f"The table {STACK}-table does not exist.",
        ),
    ]
    # Then the command that needs it names it, and what brings it back
    for remove, command, code, text in steps:
        remove()
        done = pipeline.rtp(*command, ok=False)
        said = " ".join(done.stderr.split())
        assert (done.code, text in said, "`rtp deploy`" in said) == (code, True, True), (command, done)
    aws.call("logs", "delete_log_group", logGroupName=GROUP)
    assert f"no log group {GROUP}" in pipeline.rtp("logs").stderr

    # And status, which is red, and diff name each
    status = pipeline.rtp("status", "--json").json
    assert {m["name"] for m in status["missing"]} == gone
    assert [p for p in status["problems"] if "could not be read" in p] == []
    assert pipeline.rtp("status", "--check", ok=False).code == ExitCode.FAILED
    assert {m["name"] for m in pipeline.rtp("diff", "--json").json["missing"]} == gone

    # When it is deployed again, unchanged / Then everything is there and works
    deployed = pipeline.rtp("deploy", "--yes")
    assert "updated" in deployed.stdout + deployed.stderr
    assert pipeline.rtp("status", "--json").json["missing"] == []
    assert pipeline.rtp(*send).stdout.startswith("processed")
    assert pipeline.rtp(*send, "--via", "events", "--wait").stdout.startswith("processed")
    assert "unchanged" in pipeline.rtp("deploy", "--yes").stderr
    assert {r.physical_id for r in stacks.resources(aws, STACK)} >= gone - {key, f"{STACK}-dlq"}
