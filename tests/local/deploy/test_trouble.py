"""Deploys that fail, are interrupted or killed, and stacks that are stuck."""

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import buckets, changesets, stacks
from tests.local import deployments
from tests.local.deploy.conftest import PROCESSORS, SETTINGS, STACK
from tests.local.deploy.signals import fail, handle, waiting
from tests.local.deploy.test_hotswap import _lines, _until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from queue import Queue

    from rtp.aws import Aws
    from tests.local.conftest import Project


# A stack that fails after a second: nobody gives the signal that it waits for.
HANGING: dict[str, Any] = {"Resources": waiting(1)}


def settled(aws: Aws) -> str:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        found = stacks.describe(aws, STACK)
        if found is None or not found.state.busy:
            return str(found.state) if found else ""
        time.sleep(0.05)
    raise AssertionError("the stack has not settled")


def create(aws: Aws, template: dict[str, Any], **more: Any) -> str:
    """A stack of the pipeline's name and tags that rtp did not make."""
    tags = [{"Key": "Project", "Value": "realtime-processor"}, {"Key": "Environment", "Value": "local"}]
    aws.call("cloudformation", "create_stack", StackName=STACK, TemplateBody=json.dumps(template), Tags=tags, **more)
    return settled(aws)


def test_a_failed_deploy_ends_with_its_cause_and_the_next_command(project: Project) -> None:
    # Given a bucket that has the name of the pipeline's
    project.rtp("local", "start")
    bucket = f"{STACK}-000000000000-us-east-1"
    project.aws.call("s3", "create_bucket", Bucket=bucket)
    # When deployed
    done = project.rtp("deploy", ok=False)
    # Then the last lines say which resource of our code failed and why, and what to do
    last = done.stderr.splitlines()[-2:]
    assert done.code == 1
    assert "Storage/Bucket (rtp/infra/storage.py) failed" in last[0] and "ROLLBACK_COMPLETE" in last[0], last
    assert "delete or rename it" in last[1] and "rtp deploy" in last[1]
    # And doctor knows of it
    (stack,) = [c for c in project.rtp("doctor", "--json").json["checks"] if c["name"] == "stack"]
    assert (stack["verdict"], "ROLLBACK_COMPLETE" in stack["detail"]) == ("warn", True)
    # And to whoever asks, nothing is deployed
    assert project.rtp("outputs", ok=False).code == 4
    assert project.rtp("diff", "--json").json["deployed"] is False
    # When the cause is fixed and it is deployed again, with nobody to ask
    project.aws.call("s3", "delete_bucket", Bucket=bucket)
    refused = project.rtp("deploy", ok=False)
    # Then what the stack is stuck in is explained, and without consent nothing is done
    assert refused.code == 5 and "its first deploy failed and was rolled back" in refused.stderr
    assert settled(project.aws) == "ROLLBACK_COMPLETE"
    # When consent is given / Then it is cleared away and deployed
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["status"] == "created"


def test_a_failure_under_json_is_a_result_with_its_cause_and_an_error(project: Project) -> None:
    project.rtp("local", "start")
    project.aws.call("s3", "create_bucket", Bucket=f"{STACK}-000000000000-us-east-1")
    done = project.rtp("deploy", "--json", ok=False)
    result, error = done.lines[-2:]
    assert (result["type"], result["status"]) == ("result", "failed")
    assert result["cause"]["path"] == "Storage/Bucket" and "already exists" in result["cause"]["reason"]
    assert error["error"]["code"] == "deploy-failed"
    # And the failed stack can be destroyed
    done = project.rtp("destroy", "--yes", "--json", ok=False)
    assert stacks.describe(project.aws, STACK) is None


@pytest.mark.long
def test_a_stack_left_by_a_failure_without_rollback_is_repaired_first(project: Project) -> None:
    # Given a stack whose creation failed and was left as it is
    project.rtp("local", "start")
    assert create(project.aws, HANGING, DisableRollback=True) == "CREATE_FAILED"
    # When deployed without consent / Then it is explained
    refused = project.rtp("deploy", ok=False)
    assert refused.code == 5 and "CREATE_FAILED" in refused.stderr and "--no-rollback" in refused.stderr
    # When with consent / Then it is rolled back, deleted and deployed
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["status"] == "created"
    # Given an update that failed and was left as it is
    changed = stacks.template(project.aws, STACK)
    changed["Resources"] |= HANGING["Resources"]
    project.aws.call(
        "cloudformation",
        "update_stack",
        StackName=STACK,
        TemplateURL=buckets.publish(project.aws, json.dumps(changed).encode(), ".json"),
        DisableRollback=True,
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    assert settled(project.aws) == "UPDATE_FAILED"
    # When deployed with consent / Then it is rolled back, and is what it was
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["status"] == "unchanged"
    assert project.rtp("diff", "--fail").code == 0


@pytest.mark.long
def test_a_failed_rollback_is_explained_and_repaired_with_consent(project: Project) -> None:
    # Given a stack with a custom resource whose function refuses every update
    project.rtp("local", "start")
    aws = project.aws
    assert create(aws, custom("1"), Capabilities=["CAPABILITY_IAM"]) == "CREATE_COMPLETE"
    refusing(aws, "yes")
    aws.call("cloudformation", "update_stack", StackName=STACK, TemplateBody=json.dumps(custom("2")))
    # And that could so be neither updated nor put back
    assert settled(aws) == "UPDATE_ROLLBACK_FAILED"
    # When deployed with nobody to ask / Then which resource it is and why is said
    refused = project.rtp("deploy", ok=False)
    assert refused.code == 5 and "UPDATE_ROLLBACK_FAILED" in refused.stderr and "Thing: " in refused.stderr
    # When the function is fixed and consent given / Then the rollback ends, and the deploy goes through
    refusing(aws, "no")
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["status"] == "updated"


PROTECTED = "[env.local]\nprotected = true\n"


@pytest.mark.long
def test_a_protected_stack_whose_first_deploy_failed_is_deleted_despite_its_protection(
    project: Project,
) -> None:
    (project.root / "rtp.toml").write_text(PROTECTED)
    project.rtp("local", "start")
    assert create(project.aws, HANGING, EnableTerminationProtection=True) == "ROLLBACK_COMPLETE"
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["status"] == "created"


@pytest.mark.long
def test_a_change_set_that_is_not_applied_leaves_termination_protection_unchanged(project: Project) -> None:
    # Given a protected environment that was never deployed
    (project.root / "rtp.toml").write_text(PROTECTED)
    # When a first deploy is only shown, or refused / Then no stack is left
    assert project.rtp("deploy", "--dry-run", "--json").lines[-1]["status"] == "dry-run"
    assert stacks.describe(project.aws, STACK) is None
    by_hand = create(project.aws, EMPTY)
    # Given a stack that is not protected yet
    assert by_hand == "CREATE_COMPLETE"
    for args, code in ((("--dry-run",), 0), ((), 5)):
        # When its first protected deploy is only shown, or refused
        assert project.rtp("deploy", *args, ok=False).code == code
        # Then it still is not
        assert not protected(project.aws)
    # When it is applied / Then it is
    project.rtp("deploy", "--yes")
    assert protected(project.aws)
    # Given one that was switched by hand, and does not differ otherwise
    stacks.protect(project.aws, STACK, on=False)
    # When that is only shown / Then it stays so, and a deploy puts it right
    project.rtp("deploy", "--dry-run")
    assert not protected(project.aws)
    project.rtp("deploy", "--yes")
    assert protected(project.aws)


EMPTY: dict[str, Any] = {"Resources": {"Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}}


def protected(aws: Aws) -> bool:
    found = stacks.describe(aws, STACK)
    assert found is not None
    return found.protected


def custom(value: str) -> dict[str, Any]:
    code = (
        "import json, os, urllib.request as u\n"
        "def handler(event, context):\n"
        "    bad = event['RequestType'] == 'Update' and os.environ.get('REFUSE') == 'yes'\n"
        "    body = {k: event[k] for k in ('StackId', 'RequestId', 'LogicalResourceId')}\n"
        "    body |= {'Status': 'FAILED' if bad else 'SUCCESS', 'Reason': 'told to', 'PhysicalResourceId': 'p'}\n"
        "    data, url = json.dumps(body).encode(), event['ResponseURL']\n"
        "    u.urlopen(u.Request(url, data, {'Content-Type': ''}, method='PUT'))\n"
    )
    function = {
        "FunctionName": "refuser",
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/any",
        "Code": {"ZipFile": code},
    }
    thing = {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Value": value}
    return {
        "Resources": {
            "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
            "Thing": {"Type": "Custom::Thing", "Properties": thing},
        }
    }


def refusing(aws: Aws, answer: str) -> None:
    aws.call(
        "lambda",
        "update_function_configuration",
        FunctionName="refuser",
        Environment={"Variables": {"REFUSE": answer}},
    )


@pytest.mark.long
def test_a_deploy_waits_for_another_update(project: Project) -> None:
    # Given a stack that is being updated
    deployments.deploy(project)
    changed = stacks.template(project.aws, STACK)
    changed["Resources"] |= waiting(600)
    changesets.update_now(project.aws, STACK, json.dumps(changed))
    # When deployed meanwhile / Then it is waited for
    child = project.start("deploy", "--yes")
    with stderr_lines(child) as said:
        _until(said, "UPDATE_IN_PROGRESS; waiting")
        # And goes on when the update has failed
        fail(handle(project.aws, STACK))
        assert child.wait(180) == 0
    assert project.rtp("diff", "--fail").code == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long)]
)
def test_an_interrupt_reports_the_state_and_the_next_deploy_converges(
    project: Project, number: signal.Signals, code: int
) -> None:
    # Given a deploy that is publishing, with the CDK CLI
    child = project.start("deploy", "--yes", env={"RTP_SLOW_PATHS": "1"})
    with stderr_lines(child) as said:
        _until(said, "publishing")
        time.sleep(0.2)
        # When it is interrupted
        child.send_signal(number)
        # Then it says where things stand, and ends with the exit code of an interrupt
        where = _until(said, STACK)
        assert "was not changed" in where or "goes on without rtp" in where
        assert child.wait(180) == code
    # And no process of its own is left
    assert not _cdk_in(project)
    # And the next deploy brings it to its end
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["status"] in ("created", "unchanged")


@pytest.mark.long
def test_an_interrupt_during_an_update_reports_that_cloudformation_continues(project: Project) -> None:
    # Given a deploy that waits for CloudFormation
    deployments.deploy(project)
    changed = stacks.template(project.aws, STACK)
    changed["Resources"] |= waiting(600)
    changesets.update_now(project.aws, STACK, json.dumps(changed))
    child = project.start("deploy", "--yes")
    with stderr_lines(child) as said:
        _until(said, "waiting")
        # When it is interrupted / Then it says that CloudFormation goes on, and with which command rtp does
        child.send_signal(signal.SIGINT)
        _until(said, "goes on without rtp")
        _until(said, "rtp deploy")
        assert child.wait(180) == 130
    fail(handle(project.aws, STACK))
    assert project.rtp("deploy", "--yes").code == 0


def test_a_killed_deploy_leaves_no_lock_and_the_next_one_converges(project: Project) -> None:
    child = project.start("deploy", "--yes", env={"RTP_SLOW_PATHS": "1"})
    with stderr_lines(child) as said:
        _until(said, "publishing")
        child.kill()
        child.wait(180)
    assert project.rtp("deploy", "--yes", "--json").lines[-1]["status"] in ("created", "unchanged")


def test_an_alarm_rolls_an_update_back(project: Project) -> None:
    # Given a deployed pipeline whose worker-failures alarm will ring right after the next update
    (project.root / "rtp.toml").write_text(SETTINGS)
    (project.root / "processors.py").write_text(PROCESSORS)
    deployments.deploy(project)
    before = stacks.template(project.aws, STACK)
    (project.root / "processors.py").write_text(PROCESSORS.replace("1}", "6}"))
    child = project.start("deploy", "--watch-alarms", "60s", "--json")
    assert child.stdout is not None and child.stderr is not None
    deadline = time.monotonic() + 180
    while stacks.template(project.aws, STACK) == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # When it rings
    project.aws.call(
        "cloudwatch",
        "set_alarm_state",
        AlarmName=f"{STACK}-worker-failures",
        StateValue="ALARM",
        StateReason="5 events failed",
    )
    out, _ = child.communicate(timeout=180)
    lines = [json.loads(line) for line in out.splitlines()]
    # Then the update is taken back, and the operator is told by what
    assert child.returncode == 1
    assert lines[-2]["status"] == "rolled-back"
    assert "worker-failures" in lines[-1]["error"]["message"] and "5 events failed" in lines[-1]["error"]["message"]
    assert stacks.template(project.aws, STACK) == before


@contextmanager
def stderr_lines(child: subprocess.Popen[str]) -> Iterator[Queue[str]]:
    """Yield the lines of a child's stderr as they arrive."""
    assert child.stderr is not None and child.stdout is not None
    try:
        yield _lines(child.stderr)
    finally:
        child.kill()
        child.wait(180)
        child.stdout.close()
        child.stderr.close()


def _cdk_in(project: Project) -> list[str]:
    """Processes of the CDK CLI that work in the project's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = entry.read_text(errors="replace")
            if str(project.root) in command and "aws-cdk" in command:
                found.append(command)
    return found
