"""From an assembly to a change set, and whether somebody must agree to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import changesets
from rtp.aws.alarms import Alarm
from rtp.aws.changesets import Change, ChangeSet
from rtp.config import Environment
from rtp.contract import ROLLBACK_ALARMS
from rtp.errors import AwsError, WaitTimeoutError
from rtp.ops.stack.apply import alarm_watch, publish, rollback
from rtp.ops.stack.build.assembly import Manifest
from rtp.ops.stack.build.synth import Assembly
from rtp.ops.stack.compare import approval
from rtp.ops.stack.compare.changes import compare
from rtp.ops.stack.operation import Target
from tests.clocks import FakeClock
from tests.unit.deploy.fakes import STACK, STACK_ID, FakeAws, stack
from tests.unit.deploy.stubs import stubbed

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.stack.steps import Tick

FUNCTION = {
    "Type": "AWS::Lambda::Function",
    "Properties": {"Code": {"S3Bucket": "b", "S3Key": "old.zip"}, "Timeout": 3},
}
TABLE = {"Type": "AWS::DynamoDB::Table", "Properties": {"TableName": "t"}}
PATHS = {"Fn": "Processing/Worker", "T": "Storage/Table"}


def template(key: str = "old.zip", **more: Any) -> dict[str, Any]:
    function = {**FUNCTION, "Properties": {**FUNCTION["Properties"], "Code": {"S3Bucket": "b", "S3Key": key}}}  # type: ignore[dict-item]
    return {"Resources": {"Fn": function, **more}}


def environment(tmp_path: Path, **values: Any) -> Environment:
    return Environment(**{"name": "dev", "project": "shop", "root": tmp_path, **values})


def change_set(*changes: Change) -> ChangeSet:
    return ChangeSet("id", STACK_ID, "CREATE_COMPLETE", "", changes)


def assembly(tmp_path: Path, body: dict[str, Any], key: str = "new.zip") -> Assembly:
    (tmp_path / f"asset.{key}").write_bytes(b"zip")
    entry = {"source": {"path": f"asset.{key}"}, "destinations": {"d": {"bucketName": "cdk", "objectKey": key}}}
    (tmp_path / "shop-dev.assets.json").write_text(json.dumps({"files": {"x": entry}}))
    return Assembly(tmp_path, tmp_path / "t.json", body, cached=False)


def test_a_change_of_code_alone_is_recognised() -> None:
    assert publish.only_code(compare(template(), template("new.zip"), {}))
    assert not publish.only_code(())
    assert not publish.only_code(compare(template(), template("new.zip", T=TABLE), {}))
    slower = template("new.zip")
    slower["Resources"]["Fn"]["Properties"]["Timeout"] = 9
    assert not publish.only_code(compare(template(), slower, {}))


def described(**_: Any) -> dict[str, Any]:
    return {"ChangeSetId": "id", "StackId": STACK_ID, "Status": "CREATE_COMPLETE", "Changes": []}


def test_code_alone_is_published_and_prepared_without_the_cdk(tmp_path: Path) -> None:
    # Given an assembly whose code is new
    new = template("new.zip")
    aws: Any = FakeAws(
        {
            "head_object": _absent,
            "put_object": lambda **_: {},
            "describe_change_set": described,
            "delete_change_set": lambda **_: {},
            "create_change_set": lambda **_: {},
        },
        local=True,
    )
    # When it is prepared
    changes = compare(template(), new, {})
    made = publish.code_alone(Target(aws, environment(tmp_path)), assembly(tmp_path, new), changes, {"Owner": "me"})
    # Then the zip was uploaded, and the template sent along with the stack's tags
    assert made is not None and made.id == "id"
    put = next(params for name, params in aws.asked if name == "put_object")
    created = next(params for name, params in aws.asked if name == "create_change_set")
    assert (put["Bucket"], put["Key"]) == ("cdk", "new.zip")
    assert json.loads(created["TemplateBody"]) == new
    assert created["Tags"] == [{"Key": "Owner", "Value": "me"}]


def test_the_wait_for_a_change_set_ends_and_says_what_it_waits_for() -> None:
    # Given a change set that CloudFormation never finishes
    aws: Any = FakeAws({"describe_change_set": lambda **_: {**described(), "Status": "CREATE_IN_PROGRESS"}})
    # When it is waited for / Then that has an end, and says so
    expected = (
        "preparing the change set rtp-deploy of shop-dev after 10 minutes .CREATE_IN_PROGRESS.; the stack was not"
    )
    with pytest.raises(WaitTimeoutError, match=expected):
        publish.settled(aws, STACK, publish.CHANGE_SET, clock=FakeClock().clock)


@pytest.mark.parametrize(
    ("code", "text"), [("ChangeSetNotFound", "none"), ("ValidationError", "Stack [shop-dev] does not exist")]
)
def test_before_the_first_deploy_there_is_no_change_set_and_no_stack(code: str, text: str) -> None:
    """CloudFormation refuses a change set of a stack that does not exist because of the stack."""

    def absent(**_: Any) -> Any:
        raise AwsError(f"cloudformation describe_change_set: {text}", service_code=code)

    aws: Any = FakeAws({"describe_change_set": absent})
    publish.remove(aws, "shop-dev", publish.CHANGE_SET)
    assert aws.operations() == ["describe_change_set"]


def test_an_earlier_change_set_is_deleted_once_cloudformation_has_prepared_it() -> None:
    # Given one that an interrupted run has left, whose deletion CloudFormation refuses while it prepares it
    statuses = ["CREATE_PENDING", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    deleted: list[str] = []

    def describe(**_: Any) -> dict[str, Any]:
        return {**described(), "Status": statuses[0] if len(statuses) == 1 else statuses.pop(0)}

    def delete(**_: Any) -> dict[str, Any]:
        deleted.append(statuses[0])
        return {}

    aws: Any = FakeAws({"describe_change_set": describe, "delete_change_set": delete}, local=True)
    publish.remove(aws, STACK, publish.CHANGE_SET)
    assert deleted == ["CREATE_COMPLETE"]


@pytest.mark.parametrize(
    ("status", "kind"), [("", "CREATE"), ("REVIEW_IN_PROGRESS", "CREATE"), ("UPDATE_COMPLETE", "UPDATE")]
)
def test_on_the_engine_all_is_published_and_prepared_without_the_cdk(tmp_path: Path, status: str, kind: str) -> None:
    # Given an assembly of a protected environment, and no stack, one in review, or one that works
    aws: Any = FakeAws(
        {
            "head_object": _absent,
            "put_object": lambda **_: {},
            "describe_change_set": described,
            "delete_change_set": lambda **_: {},
            "create_change_set": lambda **_: {},
            "update_termination_protection": lambda **_: {},
        },
        local=True,
    )
    built = assembly(tmp_path, template("new.zip"))
    before = stack(status) if status else None
    # When it is prepared
    publish.on_engine(Target(aws, environment(tmp_path)), built, Manifest({"Owner": "me"}, True), before)
    # Then the asset was uploaded, and the change set creates or updates the stack, which is protected
    asked = dict(aws.asked)
    assert asked["put_object"]["Key"] == "new.zip"
    assert asked["create_change_set"]["ChangeSetType"] == kind
    assert asked["create_change_set"]["Tags"] == [{"Key": "Owner", "Value": "me"}]
    assert asked["update_termination_protection"]["EnableTerminationProtection"] is True


def _absent(**_: Any) -> Any:
    raise AwsError("no", service_code="404")


def test_credentials_that_may_not_publish_leave_it_to_the_cdk(tmp_path: Path) -> None:
    def denied(**_: Any) -> Any:
        raise AwsError("no", code="access-denied", service_code="AccessDenied")

    new = template("new.zip")
    aws: Any = FakeAws({"head_object": denied})
    changes = compare(template(), new, {})
    assert publish.code_alone(Target(aws, environment(tmp_path)), assembly(tmp_path, new), changes, {}) is None


def _large(key: str) -> dict[str, Any]:
    return template(key, Big={"Type": "X", "Properties": {"Text": "x" * 60_000}})


def test_a_template_too_large_for_a_request_is_uploaded_to_the_cdk_s_bucket(tmp_path: Path) -> None:
    # Given a template of more bytes than CloudFormation takes in a request
    new = _large("new.zip")
    body = json.dumps(new, separators=(",", ":"))
    aws: Any = FakeAws(
        {
            "head_object": _absent,
            "put_object": lambda **_: {},
            "describe_change_set": described,
            "delete_change_set": lambda **_: {},
            "create_change_set": lambda **_: {},
            "update_stack": lambda **_: {},
        },
        region="us-gov-west-1",
    )
    # When a change of its code is prepared, or a stack is updated to it at once
    changes = compare(_large("old.zip"), new, {})
    assert publish.code_alone(Target(aws, environment(tmp_path)), assembly(tmp_path, new), changes, {}) is not None
    changesets.update_now(aws, STACK, body)
    # Then it lies in the bucket of the CDK's bootstrap, and CloudFormation is told where
    bucket, key = "cdk-hnb659fds-assets-111122223333-us-gov-west-1", f"{sha256(body.encode()).hexdigest()}.json"
    puts = [params for name, params in aws.asked if name == "put_object" and params["Bucket"] == bucket]
    assert puts == [{"Bucket": bucket, "Key": key, "Body": body.encode()}] * 2
    for asked_for in ("create_change_set", "update_stack"):
        (told,) = [params for name, params in aws.asked if name == asked_for]
        assert told["TemplateURL"] == f"https://s3.us-gov-west-1.amazonaws.com/{bucket}/{key}"
        assert "TemplateBody" not in told


def test_a_template_that_fits_in_a_request_needs_no_bucket() -> None:
    aws: Any = FakeAws({"update_stack": lambda **_: {}})
    body = " " * 51_200
    changesets.update_now(aws, STACK, body)
    ((_, told),) = aws.asked
    assert told["TemplateBody"] == body


def test_the_cdk_gets_the_alarms_to_watch(tmp_path: Path) -> None:
    # Given alarms that may roll the update back
    said: list[list[str]] = []

    def run(argv: list[str], **_: Any) -> str:
        said.append(argv)
        return ""

    aws: Any = FakeAws({"describe_change_set": described})
    triggers = publish.Triggers(("arn:1", "arn:2"), 5)
    # When the change set is prepared
    publish.with_cdk(Target(aws, environment(tmp_path)), assembly(tmp_path, {}), triggers, run=run)
    # Then the CLI gets them, prepares and does not execute, and asks nobody
    (argv,) = said
    assert argv[:2] == ["deploy", STACK]
    assert argv[argv.index("--method") + 1] == "prepare-change-set"
    assert argv[argv.index("--require-approval") + 1] == "never"
    assert [argv[i + 1] for i, word in enumerate(argv) if word == "--rollback-trigger-alarm-arns"] == ["arn:1", "arn:2"]
    assert argv[argv.index("--monitoring-time-minutes") + 1] == "5"


def alarm(name: str, state: str = "OK") -> dict[str, Any]:
    return {"AlarmName": f"shop-dev-{name}", "StateValue": state, "StateReason": "because", "AlarmArn": f"arn:{name}"}


def test_cloudformation_watches_at_most_five_alarms_that_have_not_fired_already(tmp_path: Path) -> None:
    # Given five watched alarms of which one has fired
    rows = [alarm(a.value, "ALARM" if a == "api-5xx" else "OK") for a in ROLLBACK_ALARMS]
    aws: Any = FakeAws({"describe_alarms": lambda **_: {"MetricAlarms": rows}})
    # When an update of a protected environment is to be watched for a minute and a half
    env = environment(tmp_path, protected=True)
    found = rollback.triggers(Target(aws, env), stack(), 90)
    # Then the quiet ones are, for whole minutes
    assert len(ROLLBACK_ALARMS) == 5
    assert len(found.alarms) == 4 and found.minutes == 2
    assert found.alarms[0] == "arn:aws:cloudwatch:us-east-1:111122223333:alarm:shop-dev-lambda-errors"
    (word,) = rollback.already_firing(Target(aws, env))
    assert "shop-dev-api-5xx" in word.message


@pytest.mark.parametrize(
    ("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn"), ("eu-west-1", "aws")]
)
def test_watched_alarms_are_named_in_the_partition_of_their_region(region: str, partition: str) -> None:
    aws: Any = FakeAws(region=region)
    assert alarm_watch.arn(aws, "a") == f"arn:{partition}:cloudwatch:{region}:111122223333:alarm:a"


def test_triggers_of_an_earlier_update_are_removed(tmp_path: Path) -> None:
    aws: Any = FakeAws()
    target = Target(aws, environment(tmp_path))
    before = replace(stack(), has_triggers=True)
    assert rollback.triggers(target, before, 0).alarms == ("none",)
    assert rollback.triggers(target, stack(), 0).alarms == ()
    assert rollback.triggers(target, None, 300).alarms == ()


def test_polling_ends_with_the_first_alarm_that_fires_or_with_the_time() -> None:
    # Given an alarm that fires at the third poll
    looks = iter(["OK", "OK", "ALARM"])
    aws: Any = FakeAws({"describe_alarms": lambda **_: {"MetricAlarms": [alarm("api-5xx", next(looks))]}})
    watched = (Alarm("shop-dev-api-5xx", "OK", "", None, "", "", None, False),)
    ticks, fired = polled(aws, watched, 50, since_ms=0)
    assert fired is not None and len(ticks) == 2
    # Given one that does not
    aws = FakeAws({"describe_alarms": lambda **_: {"MetricAlarms": [alarm("api-5xx")]}})
    ticks, fired = polled(aws, watched, 3, since_ms=0)
    assert fired is None and ticks


def polled(aws: Any, watched: tuple[Alarm, ...], seconds: float, *, since_ms: int) -> tuple[list[Tick], Alarm | None]:
    """The ticks of a poll whose clock only pauses move, and the alarm that it returns."""
    ticks: list[Tick] = []
    polling = alarm_watch.poll(aws, watched, seconds, since_ms=since_ms, clock=FakeClock().clock)
    while True:
        try:
            ticks.append(next(polling))
        except StopIteration as end:
            return ticks, end.value


def test_an_alarm_that_fired_and_is_ok_again_has_fired_within_the_second_of_the_update_too() -> None:
    # Given times in whole seconds: an update began at 100.7, and at 100.9 its alarm fired for a moment
    second = datetime.fromtimestamp(100, UTC)
    data = {"oldState": {"stateValue": "OK"}, "newState": {"stateValue": "ALARM", "stateReason": "five failed"}}
    turn = {"AlarmName": "shop-dev-api-5xx", "Timestamp": second, "HistoryData": json.dumps(data)}
    aws: Any = FakeAws(
        {
            "describe_alarms": lambda **_: {"MetricAlarms": [alarm("api-5xx") | {"StateUpdatedTimestamp": second}]},
            "describe_alarm_history": lambda **_: {"AlarmHistoryItems": [turn]},
        }
    )
    watched = (Alarm("shop-dev-api-5xx", "OK", "", None, "", "", None, False),)
    # Then it has fired
    _, fired = polled(aws, watched, 3, since_ms=100_700)
    assert fired is not None and (fired.state, fired.reason) == ("ALARM", "five failed")
    # But a change of state in an earlier second is not the update's
    assert polled(aws, watched, 3, since_ms=101_000)[1] is None


def asked(env: Environment, old: dict[str, Any], new: dict[str, Any], *changes: Change, create: bool = False) -> str:
    plan = approval.plan(STACK, old, new, PATHS, change_set(*changes), create=create)
    found = approval.questions(plan, env)
    return "\n".join([found[0].text, *found[0].about]) if found else ""


def test_changes_that_need_consent(tmp_path: Path) -> None:
    dev = environment(tmp_path)
    # A change of code asks nobody, but a protected environment is always asked
    assert asked(dev, template(), template("new.zip")) == ""
    assert "Update shop-dev (prod)?" in asked(
        environment(tmp_path, name="prod", protected=True), template(), template("new.zip")
    )
    # A new stack is asked about in an account, and not on this machine
    assert "Create shop-dev (dev)?" in asked(dev, {}, template(), create=True)
    assert asked(environment(tmp_path, name="local"), {}, template(), create=True) == ""
    # What widens, and what would lose data
    role = {"Type": "AWS::IAM::Role", "Properties": {"ManagedPolicyArns": ["arn:admin"]}}
    assert "more than before" in asked(dev, template(), template(R=role))
    assert "Storage/Table would be deleted" in asked(dev, template(T=TABLE), template())
    # What only CloudFormation knows: that the table is replaced
    replaced = Change("T", "AWS::DynamoDB::Table", "True")
    renamed = {**TABLE, "Properties": {"TableName": "u"}}
    assert "Storage/Table would be replaced" in asked(dev, template(T=TABLE), template(T=renamed), replaced)
    # One that is replaced without a difference in the template, as a consequence of another
    assert "Storage/Table would be replaced" in asked(dev, template(T=TABLE), template("n.zip", T=TABLE), replaced)


@pytest.mark.parametrize("replacement", ["Conditional", "False", ""])
def test_a_possible_replacement_is_marked_and_needs_no_consent(tmp_path: Path, replacement: str) -> None:
    change = Change("T", "AWS::DynamoDB::Table", replacement)
    renamed = {**TABLE, "Properties": {"TableName": "u"}}
    plan = approval.plan(STACK, template(T=TABLE), template(T=renamed), PATHS, change_set(change), create=False)
    assert [(c.action, c.maybe) for c in plan.changes] == [("modify", replacement == "Conditional")]
    assert approval.questions(plan, environment(tmp_path)) == []


def test_a_missing_resource_makes_the_change_set_drift_aware(tmp_path: Path) -> None:
    aws: Any = FakeAws({"describe_change_set": described})
    commands: list[list[str]] = []

    def run(argv: list[str], **_: Any) -> str:
        commands.append(argv)
        return ""

    target = Target(aws, environment(tmp_path))
    for revert_drift in (False, True):
        publish.with_cdk(target, assembly(tmp_path, {}), revert_drift=revert_drift, run=run)
    assert ["--revert-drift" in argv and "--force" in argv for argv in commands] == [False, True]


def test_the_drift_of_each_change_is_read() -> None:
    change = {"LogicalResourceId": "Q", "ResourceType": "AWS::SQS::Queue", "Action": "Add"}
    with stubbed("cloudformation") as (aws, stubbers):
        answer = {
            **described(),
            "Changes": [{"Type": "Resource", "ResourceChange": {**change, "ResourceDriftStatus": "DELETED"}}],
        }
        stubbers["cloudformation"].add_response("describe_change_set", answer)
        change_set = changesets.describe(aws, STACK, "rtp-deploy")
    assert change_set is not None and [c.recreates for c in change_set.changes] == [True]
