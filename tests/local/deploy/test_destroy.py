"""rtp destroy: what it says before, what it proves after."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import buckets, changesets, stacks
from rtp.config.environments import resolve
from rtp.contract import Output
from rtp.local.state import folder
from rtp.ops.stack.apply import adopt
from rtp.ops.stack.operation import Target
from tests.local import deployments
from tests.local.deploy.conftest import STACK
from tests.local.deploy.test_trouble import settled

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws import Aws
    from tests.local.conftest import Project


def of(lines: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(line for line in lines if line["type"] == kind)


def test_destroy_shows_its_plan_and_proves_the_deletion(project: Project) -> None:
    # Given a pipeline with records, objects in versions, and messages that nobody will process
    deployments.deploy(project)
    aws, outputs = project.aws, project.outputs
    project.rtp("send", "--type", "x", "--data", "{}", "--wait")
    for _ in range(3):
        aws.call("s3", "put_object", Bucket=outputs[Output.BUCKET], Key="raw/k", Body=b"x")
    aws.call("s3", "delete_object", Bucket=outputs[Output.BUCKET], Key="raw/k")
    aws.call("sqs", "send_message", QueueUrl=outputs[Output.DLQ_URL], MessageBody="{}")
    # When it is to be destroyed and nobody is there to consent
    refused = project.rtp("destroy", ok=False)
    # Then it says what goes, what stays and what is lost, and does nothing
    assert refused.code == 5
    assert f"lost: 1 message in {STACK}-dlq; `rtp dlq inspect --export FILE` saves them" in refused.stderr
    # When with the name of another stack, as with --env forgotten / Then nothing is done either
    other = project.rtp("destroy", "--yes", "--confirm", "realtime-processor-prod", ok=False)
    assert other.code == 5 and f"'realtime-processor-prod' is not '{STACK}'" in other.stderr
    assert project.rtp("deploy", "--yes", "--confirm", "realtime-processor-prod", ok=False).code == 5
    assert stacks.describe(aws, STACK) is not None
    # When with consent
    lines = project.rtp("destroy", "--yes", "--json").lines
    plan, proof, result = of(lines, "plan"), of(lines, "proof"), lines[-1]
    # Then the plan knew it all
    goes = {(i["kind"], i["name"]): i["note"] for i in plan["goes"]}
    assert goes["table", f"{STACK}-table"] == "about 1 record"
    assert goes["bucket", outputs[Output.BUCKET]].endswith("object versions")
    assert [i["name"] for i in plan["lost"]] == [f"{STACK}-dlq"]
    assert {i["kind"] for i in plan["stays"]} == {"key", "bucket"}
    # And everything is gone but the key, which waits, and the CDK's own bucket
    assert result["status"] == "destroyed"
    assert [i["expected"] for i in proof["left"]] == [True] * len(proof["left"])
    # And the proof accounts for every resource, but the key
    gone = proof["gone"]
    assert gone["not_asked"] == [] and gone["with_parent"] > 0 and {"REST API", "function"} <= set(gone["parents"])
    assert gone["asked"] + gone["with_parent"] == plan["resources"] - 1
    assert "will be deleted on" in next(i["why"] for i in proof["left"] if i["kind"] == "key")
    assert stacks.describe(aws, STACK) is None
    assert buckets.count(aws, outputs[Output.BUCKET]) is None
    assert not aws.call("logs", "describe_log_groups", logGroupNamePrefix=f"/aws/lambda/{STACK}")["logGroups"]
    # When it is run again / Then there is nothing to destroy
    again = project.rtp("destroy", "--yes", ok=False)
    assert again.code == 4 and "not deployed" in again.stderr


@pytest.mark.long
def test_many_objects_are_emptied_in_parallel_and_an_unexpected_leftover_is_an_error(project: Project) -> None:
    # Given more objects than one call deletes, and something with the stack's tags that is not of the stack
    deployments.deploy(project)
    aws, bucket = project.aws, project.outputs[Output.BUCKET]
    client = aws.client("s3")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: client.put_object(Bucket=bucket, Key=f"raw/{number}", Body=b""), range(1100)))
    tags = [{"Key": "Project", "Value": "realtime-processor"}, {"Key": "Environment", "Value": "local"}]
    topic = aws.call("sns", "create_topic", Name="stray", Tags=[*tags, {"Key": "ManagedBy", "Value": "CDK"}])
    # When destroyed / Then all objects are counted as gone
    done = project.rtp("destroy", "--yes", "--json", ok=False)
    assert {line["bucket"]: line["objects"] for line in done.lines if line.get("type") == "emptied"}[bucket] >= 1100
    # And the leftover is named, and the exit code says so
    assert done.code == 1
    assert topic["TopicArn"] in [i["name"] for i in of(done.lines, "proof")["left"] if not i["expected"]]
    assert done.lines[-1]["error"]["code"] == "left-behind"


def test_keep_data_keeps_table_bucket_and_key_and_a_deploy_over_them_is_explained(project: Project) -> None:
    # Given a record, and a template that is, as those for AWS, too large for a request
    deployments.deploy(project)
    aws, outputs = project.aws, project.outputs
    project.rtp("send", "--type", "x", "--data", "{}", "--wait")
    large = {**stacks.template(aws, STACK), "Metadata": {"Large": "x" * 51_200}}
    changesets.update_now(aws, STACK, json.dumps(large))
    assert settled(aws) == "UPDATE_COMPLETE"
    # When destroyed with the data kept
    lines = project.rtp("destroy", "--yes", "--keep-data", "--json").lines
    # Then the data is there, under its key, and the rest is gone
    assert lines[-1]["status"] == "destroyed"
    kept = {i["kind"] for i in of(lines, "proof")["left"] if i["why"] == "kept"}
    assert kept == {"table", "bucket", "bucket policy", "key", "key alias"}
    assert aws.call("dynamodb", "scan", TableName=outputs[Output.TABLE])["Count"] == 1
    assert buckets.count(aws, outputs[Output.BUCKET])
    assert aws.call("kms", "describe_key", KeyId=outputs[Output.KEY_ARN])["KeyMetadata"]["KeyState"] == "Enabled"
    # When somebody looks for the stack / Then what it left is named
    again = project.rtp("destroy", "--yes", ok=False)
    assert again.code == 4 and f"table {STACK}-table" in again.stderr
    assert "kept by an earlier `rtp destroy --keep-data`" in " ".join(again.stderr.split())
    assert outputs[Output.BUCKET] in again.stderr
    # When it is deployed again / Then the name that is taken is the cause, and why
    done = project.rtp("deploy", ok=False)
    assert done.code == 1 and "already exists" in done.stderr and "rtp deploy --adopt" in done.stderr
    # When what is left of that deploy is destroyed / Then the data are known for what they are
    lines = project.rtp("destroy", "--yes", "--json").lines
    assert f"{STACK}-table" in [i["name"] for i in of(lines, "proof")["left"] if i["expected"]]
    assert aws.call("dynamodb", "scan", TableName=outputs[Output.TABLE])["Count"] == 1
    assert buckets.count(aws, outputs[Output.BUCKET])
    # When a deploy adopts them / Then the pipeline is whole, with the old record and under the old key
    assert "table" in project.rtp("deploy", "--adopt", "--dry-run").stderr
    # (also after a run that ended between the preparation of the import and its execution)
    target = Target(aws, resolve(cwd=project.root, environ={}))
    leftovers = adopt.leftovers(target, large)
    adopt.prepared(target, adopt.import_template(large, leftovers), leftovers)
    project.rtp("deploy", "--adopt", "--yes")
    assert project.outputs[Output.KEY_ARN] == outputs[Output.KEY_ARN]
    assert len(project.rtp("records", "--json").json["records"]) == 1
    project.rtp("send", "--type", "x", "--data", "{}", "--wait")
    assert project.rtp("status", "--check").code == 0
    # And it is deployed and destroyed as any other
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["type"] in ("result", "outputs")
    # and only the bucket of access logs that the first one kept is still there
    lines = project.rtp("destroy", "--yes", "--json", ok=False).lines
    (left,) = [i["name"] for i in of(lines, "proof")["left"] if not i["expected"]]
    assert "accesslogs" in left


def test_destroying_a_protected_environment_needs_its_name(project: Project) -> None:
    # Given a protected environment
    (project.root / "rtp.toml").write_text("[env.local]\nprotected = true\n")
    deployments.deploy(project)
    # When destroyed with --yes alone, or with another name / Then it is refused
    assert project.rtp("destroy", "--yes", ok=False).code == 5
    assert project.rtp("destroy", "--confirm", "realtime-processor-dev", ok=False).code == 5
    assert stacks.describe(project.aws, STACK) is not None
    # When the rtp.toml of another branch, or of a copy of the project, does not protect it
    (project.root / "rtp.toml").write_text("")
    # Then a yes destroys it no more than before, takes no protection from it, and deletes no messages
    for command in (("destroy",), ("deploy",), ("dlq", "purge", "--all")):
        refused = project.rtp(*command, "--yes", "--json", ok=False)
        assert refused.code == 5 and "--confirm" in refused.lines[-1]["error"]["hint"]
    assert "was deployed as protected, and rtp.toml does not" in project.rtp("deploy", "--dry-run").stderr
    found = stacks.describe(project.aws, STACK)
    assert found is not None and found.protected
    # When its name is given / Then it goes, and what is retained is listed as that
    lines = project.rtp("destroy", "--confirm", STACK, "--json").lines
    assert lines[-1]["status"] == "destroyed"
    stays = {i["kind"]: i["note"] for i in of(lines, "plan")["stays"]}
    assert stays["table"] == "retained by its template"
    assert {"table", "bucket", "key"} <= {i["kind"] for i in of(lines, "proof")["left"] if i["expected"]}


@pytest.mark.long
def test_cycles_of_deploy_and_destroy_leave_nothing(project: Project) -> None:
    # Given an engine on which nothing but the CDK's bootstrap was ever made
    for _ in range(2):
        # When it is deployed, deployed again, used, destroyed, and the engine stopped, as README has it
        assert project.rtp("deploy", "--json").lines[-1]["status"] == "created"
        assert project.rtp("deploy", "--json").lines[-1]["status"] == "unchanged"
        project.rtp("send", "--type", "x", "--data", "{}", "--wait")
        assert project.rtp("destroy", "--yes", "--json").lines[-1]["status"] == "destroyed"
        # Then nothing is there that any service could list
        assert _everything(project.aws) == set()
        project.rtp("local", "stop")


def _everything(aws: Aws) -> set[str]:
    """Names of what the pipeline's services hold, without what all stacks of the account share."""
    listings = [
        ("dynamodb", "list_tables", "TableNames", ""),
        ("sqs", "list_queues", "QueueUrls", ""),
        ("s3", "list_buckets", "Buckets", "Name"),
        ("lambda", "list_functions", "Functions", "FunctionName"),
        ("lambda", "list_layers", "Layers", "LayerName"),
        ("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
        ("logs", "describe_log_groups", "logGroups", "logGroupName"),
        ("iam", "list_roles", "Roles", "RoleName"),
        ("sns", "list_topics", "Topics", "TopicArn"),
        ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        ("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        ("apigateway", "get_rest_apis", "items", "name"),
        ("apigateway", "get_api_keys", "items", "name"),
        ("apigateway", "get_usage_plans", "items", "name"),
        ("kms", "list_aliases", "Aliases", "AliasName"),
        ("cloudformation", "describe_stacks", "Stacks", "StackName"),
    ]
    found = set()
    for service, operation, key, field in listings:
        for row in aws.call(service, operation).get(key, ()):
            found.add(row[field] if field else row)
    return {
        name
        for name in found
        if not name.startswith(("cdk-", "rtp-operations-", "CDKToolkit", "alias/aws/", "alias/cdk-"))
    }


def test_doctor_reports_no_problem_on_this_machine(project: Project) -> None:
    (project.root / "rtp.toml").write_text("")
    found = project.rtp("doctor", "--json").json
    names = {check["name"] for check in found["checks"]}
    assert {"python", "node", "cdk", "cdk on PATH", "uv", "state folder", "disk", "processors", "engine"} <= names
    # The tests' own environment has other packages that need boto3.
    assert {check["verdict"] for check in found["checks"] if check["name"] != "boto3"} == {"ok"}
    assert not (project.root / ".rtp").exists()


def test_doctor_reports_a_port_in_use(project: Project) -> None:
    # Given another program on the port that the engine had the last time
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        place = folder(project.root)
        place.create()
        place.port_file.write_text(f"{port}\n")
        # When asked / Then it is said, and is no fault: the engine takes another
        (engine,) = [c for c in project.rtp("doctor", "--json").json["checks"] if c["name"] == "engine"]
    assert engine["verdict"] == "ok" and f"another port than {port}" in engine["detail"]


def test_doctor_reports_problems_with_their_fixes(project: Project, tmp_path: Path) -> None:
    # Given broken processors, and an accidental cdk on PATH
    (project.root / "rtp.toml").write_text('[processors]\npath = "p.py"\n')
    (project.root / "p.py").write_text("def broken(:\n")
    script = tmp_path / "bin" / "cdk"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho 3.0.0\n")
    script.chmod(0o755)
    # When asked
    done = project.rtp("doctor", "--json", env={"PATH": f"{script.parent}:/usr/bin:/bin"}, ok=False)
    # Then both are named, each with its fix
    checks = {check["name"]: check for check in done.json["checks"]}
    assert done.code == 1
    assert (checks["processors"]["verdict"], checks["cdk on PATH"]["verdict"]) == ("fail", "warn")
    assert "p.py:1" in checks["processors"]["detail"] and "3.0.0" in checks["cdk on PATH"]["detail"]
    assert all(checks[name]["fix"] for name in ("processors", "cdk on PATH"))


def test_doctor_reports_an_invalid_configuration(project: Project) -> None:
    (project.root / "rtp.toml").write_text("[defaults]\nmemory = 5\n")
    done = project.rtp("doctor", ok=False)
    assert done.code == 1 and "unknown key 'memory'" in done.stdout
