"""Two projects whose names make one stack name, on one engine: neither acts on the other's stack."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import Aws, changesets, stacks, updates
from rtp.config import Overrides
from rtp.config.environments import resolve
from rtp.contract import Output
from rtp.errors import RefusedError
from rtp.ops.stack.deploy import deploy
from rtp.ops.stack.operation import Operation
from rtp.ops.stack.options import Options
from tests.local.conftest import Project
from tests.local.deploy.conftest import PROCESSORS, STACK
from tests.local.deploy.test_deploy import by_hand, code
from tests.local.deploy.test_terminal import converse
from tests.local.deploy.test_trouble import EMPTY, HANGING, settled

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.access.question import Question


OWNED = "project 'realtime-processor', environment 'local'"
OURS = "project 'realtime', environment 'processor-local'"
HERE = ("-e", "processor-local")


def collide(root: Path, engine: Project, *, protected: bool = False) -> Project:
    """Another project, whose environment on the same engine has the same stack name, and other processors."""
    other = Project(root)
    (root / "rtp.toml").write_text(
        'project = "realtime"\n[processors]\npath = "processors.py"\n[env.processor-local]\n'
        f'endpoint_url = "{engine.engine.endpoint_url}"\nprotected = {str(protected).lower()}\n'
    )
    (root / "processors.py").write_text(PROCESSORS.replace("version", "other"))
    return other


@pytest.fixture
def other(tmp_path_factory: pytest.TempPathFactory, pipeline: Project) -> Project:
    return collide(tmp_path_factory.mktemp("other"), pipeline)


def seen(aws: Aws) -> dict[str, Any]:
    """What one could change of a stack, its functions and its queues."""
    found = stacks.describe(aws, STACK)
    assert found is not None
    outputs = found.outputs
    both = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    queues = [
        aws.call("sqs", "get_queue_attributes", QueueUrl=outputs[q], AttributeNames=list(both))["Attributes"]
        for q in (Output.QUEUE_URL, Output.DLQ_URL)
    ]
    functions = [updates.describe(aws, outputs[f]) for f in (Output.PROCESSOR, Output.WORKER)]
    objects = aws.call("s3", "list_object_versions", Bucket=outputs[Output.BUCKET]).get("Versions", [])
    return {
        "stack": {"id": found.id, "state": found.state, "tags": found.tags, "protected": found.protected},
        "template": stacks.template(aws, STACK),
        "change sets": list(changesets.tags(aws, STACK)),
        "functions": functions,
        "queues": queues,
        "objects": [o["Key"] for o in objects],
        "records": aws.call("dynamodb", "scan", TableName=outputs[Output.TABLE])["Count"],
        "sources": [
            s["State"]
            for s in aws.call("lambda", "list_event_source_mappings", FunctionName=outputs[Output.WORKER])[
                "EventSourceMappings"
            ]
        ],
    }


EVENT = ("--type", "n", "--data", "{}")
ACTIONS: list[tuple[str, ...]] = [
    ("deploy", "--yes"),
    ("deploy", "--yes", "--hotswap"),
    ("deploy", "--yes", "--watch"),
    ("deploy", "--yes", "--no-rollback"),
    ("deploy", "--dry-run"),
    ("deploy", "--yes", "--take-over"),
    ("deploy", "--yes", "--take-over", "--confirm", "realtime-processor"),
    ("deploy", "--yes", "--confirm", STACK),
    ("destroy", "--yes"),
    ("destroy", "--yes", "--keep-data"),
    ("destroy", "--confirm", STACK),
    ("send", *EVENT),
    ("send", *EVENT, "--via", "events"),
    ("send", *EVENT, "--via", "sqs"),
    ("dlq", "inspect"),
    ("dlq", "redrive", "--all", "--yes"),
    ("dlq", "redrive", "--all", "--dry-run"),
    ("dlq", "purge", "--all", "--yes"),
    ("dlq", "undo", "--yes"),
    ("replay", "--since", "1h", "--yes"),
    ("replay", "--since", "1h", "--dry-run"),
    ("outputs", "--show-secrets"),
]
READS: list[tuple[tuple[str, ...], int]] = [
    (("records",), 0),
    (("logs",), 0),
    (("traces",), 0),
    (("alarms",), 0),
    (("outputs",), 0),
    (("show", "one"), 0),
]


def test_another_project_s_stack_is_not_changed(pipeline: Project, other: Project) -> None:
    # Given a pipeline with a processed event and a dead message, and a project whose names make the same stack name
    aws, outputs = pipeline.aws, pipeline.outputs
    event = {"id": "one", "timestamp": int(time.time() * 1000), "type": "n", "data": {}}
    pipeline.rtp("send", "-", stdin=json.dumps(event))
    aws.call("sqs", "send_message", QueueUrl=outputs[Output.DLQ_URL], MessageBody=json.dumps({**event, "id": "two"}))
    before = seen(aws)
    for args in ACTIONS:
        # When that project acts on it
        done = other.rtp(*args, *HERE, "--json", ok=False)
        # Then it is refused, with both owners named and the fix, and nothing is changed
        error = done.lines[-1]["error"]
        assert done.code == 5, (args, done)
        if "--take-over" in args:
            assert STACK in error["message"], args  # the typed name is missing, or another
        else:
            assert error["code"] == "foreign-stack", args
            assert STACK in error["message"] and OWNED in error["message"] and OURS in error["message"], args
            assert "`rtp deploy --env=processor-local --take-over`" in error["hint"], args
        assert seen(aws) == before, args
    # And its own project sends, repairs and deploys as ever
    assert pipeline.rtp("send", *EVENT, "--json").json["status"] == "processed"
    dead = int(before["queues"][1]["ApproximateNumberOfMessages"])  # tests before this one may have left some
    assert dead >= 1
    assert pipeline.rtp("dlq", "purge", "--all", "--yes", "--json").json["deleted"] == dead
    assert pipeline.rtp("deploy", "--yes", "--json").lines[-1]["status"] == "unchanged"


@pytest.mark.long
def test_commands_that_read_warn_with_the_owner(pipeline: Project, other: Project) -> None:
    pipeline.rtp("send", "-", stdin=json.dumps({"id": "one", "timestamp": 1, "type": "n", "data": {}}), ok=False)
    for args, expected in READS:
        done = other.rtp(*args, *HERE, ok=False)
        if args != ("logs",):  # which finds lines without asking for the stack
            assert f"belongs to {OWNED}; this is {OURS}" in done.stderr, args
        assert done.code == expected or "no event" in done.stderr.lower(), (args, done)
    # Status names its owner, and does not call it well
    status = other.rtp("status", "--check", "--json", *HERE, ok=False)
    assert status.code == 1 and not status.json["healthy"]
    assert (status.json["stack"]["project"], status.json["stack"]["environment"]) == ("realtime-processor", "local")
    assert OWNED in status.json["problems"][0]
    assert OWNED in other.rtp("status", *HERE).stdout
    assert pipeline.rtp("status", "--json").json["stack"]["project"] == "realtime-processor"
    # Diff says so before the changes
    found = other.rtp("diff", "--json", *HERE).json
    assert found["foreign"] == {"project": "realtime-processor", "environment": "local"}
    shown = other.rtp("diff", *HERE).stdout
    assert OWNED in shown.splitlines()[0] and "refused" in shown.splitlines()[0]
    assert other.rtp("diff", "--security-only", "--json", *HERE).json["foreign"] is not None
    assert pipeline.rtp("diff", "--json").json["foreign"] is None
    # And doctor says it before the deploy
    doctor = other.rtp("doctor", "--json", *HERE, ok=False)
    (stack,) = [c for c in doctor.json["checks"] if c["name"] == "stack"]
    assert (stack["verdict"], OWNED in stack["detail"]) == ("fail", True)


@pytest.mark.long
def test_a_renamed_project_takes_its_stack_over(pipeline: Project, other: Project) -> None:
    before, stack_id = code(pipeline), seen(pipeline.aws)["stack"]["id"]
    try:
        # When nothing but the name is typed wrongly / Then nothing is changed
        exit_code, text = converse(
            other, "deploy", "--take-over", "--yes", *HERE, answers={f"Type {STACK} to continue": "yes"}
        )
        assert exit_code == 5 and OWNED in " ".join(text.split()) and "nothing was changed" in text
        assert code(pipeline) == before
        # When it is typed, also with --hotswap, which would leave the tags
        exit_code, text = converse(
            other, "deploy", "--take-over", "--hotswap", "--yes", *HERE, answers={f"Type {STACK} to continue": STACK}
        )
        # Then the stack runs the other code, has the other tags, and is the same one
        assert exit_code == 0, text
        now = seen(pipeline.aws)
        assert code(pipeline) != before and now["stack"]["id"] == stack_id
        assert now["stack"]["tags"].items() >= {
            "Project": "realtime", "Environment": "processor-local",
        }.items()  # fmt: skip
        # And its project works with it, while the former one is refused
        assert '"other"' in other.rtp("send", *EVENT, *HERE).stdout
        assert other.rtp("deploy", "--yes", "--json", *HERE).lines[-1]["status"] == "unchanged"
        assert pipeline.rtp("destroy", "--yes", ok=False).code == 5
        assert pipeline.rtp("deploy", "--yes", ok=False).code == 5
    finally:
        done = pipeline.rtp("deploy", "--yes", "--take-over", "--confirm", STACK, "--json")
    # And the name may be given as an option, where nobody can type
    assert done.lines[-1]["status"] == "updated" and code(pipeline) == before
    assert other.rtp("send", *EVENT, *HERE, ok=False).code == 5


def test_a_deploy_whose_stack_changes_hands_during_its_prompt_applies_nothing(pipeline: Project) -> None:
    # Given a deploy that asks for consent, and a take-over while it waits for the answer
    def narrow(resources: dict[str, Any]) -> None:
        for resource in resources.values():
            for policy in resource.get("Properties", {}).get("Policies", ()):
                policy["PolicyDocument"]["Statement"] = policy["PolicyDocument"]["Statement"][:1]

    by_hand(pipeline, narrow)
    aws = pipeline.aws
    tags = [{"Key": key, "Value": value} for key, value in seen(aws)["stack"]["tags"].items()]
    retag = partial(
        aws.call, "cloudformation", "update_stack", StackName=STACK, UsePreviousTemplate=True,
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )  # fmt: skip
    asked: list[str] = []

    def answer(question: Question) -> None:
        asked.append(question.text)
        retag(Tags=[{"Key": "Project", "Value": "x"}, {"Key": "Environment", "Value": "y"}])
        settled(aws)

    try:
        # When the answer is yes
        with pytest.raises(RefusedError) as caught:
            environment = resolve(Overrides(), cwd=pipeline.root, environ={})
            list(deploy(environment, lambda: aws, Options(), Operation(answer)))
        # Then the update is not made, and its change set is gone
        assert caught.value.code == "foreign-stack" and "changed hands" in caught.value.message and len(asked) == 1
        assert list(changesets.tags(aws, STACK)) == []
    finally:
        retag(Tags=tags)
        settled(aws)


def created(aws: Aws, template: dict[str, Any], tags: dict[str, str], **more: Any) -> str:
    aws.call(
        "cloudformation", "create_stack", StackName=STACK, TemplateBody=json.dumps(template),
        Tags=[{"Key": k, "Value": v} for k, v in tags.items()], **more,
    )  # fmt: skip
    return settled(aws)


@pytest.mark.long
def test_another_project_s_failed_stack_is_not_deleted(project: Project) -> None:
    project.rtp("local", "start")
    aws = project.aws
    # Given stacks that never worked: another project's, one of no project, and one that is only prepared
    for status, tags, more in (
        ("ROLLBACK_COMPLETE", {"Project": "realtime", "Environment": "processor-local"}, {}),
        ("ROLLBACK_COMPLETE", {}, {}),
        ("CREATE_FAILED", {"Project": "Realtime-Processor", "Environment": "local"}, {"DisableRollback": True}),
        ("REVIEW_IN_PROGRESS", {"Project": "realtime", "Environment": "processor-local"}, {}),
        ("REVIEW_IN_PROGRESS", {}, {}),
    ):
        if status == "REVIEW_IN_PROGRESS":
            aws.call(
                "cloudformation", "create_change_set", StackName=STACK, ChangeSetName="theirs",
                ChangeSetType="CREATE", TemplateBody=json.dumps(EMPTY),
                Tags=[{"Key": k, "Value": v} for k, v in tags.items()],
            )  # fmt: skip
        else:
            assert created(aws, HANGING, tags, **more) == status
        before = stacks.describe(aws, STACK)
        assert before is not None and str(before.state) == status
        for args in (("deploy", "--yes"), ("destroy", "--yes")):
            # When it is deployed over or destroyed, without any question / Then it is refused
            done = project.rtp(*args, "--json", ok=False)
            assert done.code == 5, (status, tags, args, done)
            assert done.lines[-1]["error"]["code"] == "foreign-stack", (status, tags, args)
        # And the stack is the same as before
        assert stacks.describe(aws, STACK) == before
        assert project.rtp("diff", "--json").json["foreign"] is not None
        stacks.delete(aws, STACK)
        assert settled(aws) == ""
    # Given one whose project was renamed / When it is taken over by its name / Then it is cleared away and deployed
    assert created(aws, HANGING, {"Project": "former", "Environment": "local"}) == "ROLLBACK_COMPLETE"
    done = project.rtp("deploy", "--yes", "--take-over", "--confirm", STACK, "--json")
    assert done.lines[-1]["status"] == "created"
