"""What a destroy says of the data that stay, and what is known of them once the stack is gone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import resource_types
from rtp.commands.destroy import plan_views
from rtp.config import Environment
from rtp.errors import AwsError, NotFoundError
from rtp.ops.stack.operation import Operation, Target
from rtp.ops.stack.teardown import inventory, proof
from rtp.ops.stack.teardown.destroy import Options, destroy
from rtp.terminal.output import Output
from tests.clocks import FakeClock
from tests.unit.deploy.fakes import NOTHING, STACK, STACK_ID, FakeAws, finished, resource

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.aws.stacks import Resource

BUCKET = "shop-dev-111122223333-us-east-1"
ARN = "arn:aws:{}:us-east-1:111122223333:{}"
FORMER = [{"StackName": "other", "StackId": "x"}, {"StackName": STACK, "StackId": STACK_ID}]
KEPT = [
    ARN.format("dynamodb", "table/shop-dev-table"),
    f"arn:aws:s3:::{BUCKET}",
    "arn:aws:s3:::shop-dev-accesslogs-x1",
    ARN.format("kms", "key/k-1"),
]


def cloud(arns: list[str], *, depth: int = 0, key: str = "Enabled", kept: bool = True) -> Any:
    """An account in which data with these ARNs are left, and nothing else. kept: whether a deleted stack kept them."""
    names = {arn.rpartition(":")[2].rpartition("/")[2] for arn in arns}

    skipped = [{"PhysicalResourceId": name, "ResourceStatus": "DELETE_SKIPPED"} for name in names if kept]

    def known(field: str) -> Any:
        def answer(**given: Any) -> Any:
            if given[field] not in names:
                raise AwsError("no", service_code="404")
            return {"Table": {}, "KeyMetadata": {"KeyState": key}}

        return answer

    return FakeAws(
        {
            **NOTHING,
            "describe_table": known("TableName"),
            "head_bucket": known("Bucket"),
            "describe_key": known("KeyId"),
            "list_stacks": lambda **_: {"StackSummaries": FORMER},
            "describe_stack_events": lambda **_: {"StackEvents": skipped},
            "list_object_versions": lambda **_: {},
            "list_objects_v2": lambda **_: {},
            "get_queue_attributes": lambda **_: {"Attributes": {"ApproximateNumberOfMessages": str(depth)}},
            "get_resources": lambda **_: {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]},
        },
        local=True,
    )


def proven(aws: Any, root: Path, rows: list[Resource] | None = None) -> proof.Proof:
    """The proof of a destroy, on a clock that only pauses move."""
    target = Target(aws, environment(root))
    return finished(proof.prove(target, rows or [], frozenset(), keep_data=False, api_id="", clock=FakeClock().clock))


def environment(root: Path) -> Environment:
    return Environment(name="dev", project="shop", root=root, endpoint_url="http://127.0.0.1:1")


def destroyed(root: Path, aws: Any) -> NotFoundError:
    with pytest.raises(NotFoundError) as caught:
        list(destroy(aws, environment(root), Options(), Operation()))
    return caught.value


def test_data_that_outlived_its_stack_was_kept_on_purpose(tmp_path: Path) -> None:
    # Given a table, two buckets and a key with the tags of a stack that is gone / When it is destroyed again
    error = destroyed(tmp_path, cloud(KEPT))
    # Then each is named, and why it is there
    assert "kept by an earlier `rtp destroy --keep-data`" in error.message
    for name in ("table shop-dev-table", f"bucket {BUCKET}", "bucket shop-dev-accesslogs-x1", "key k-1"):
        assert name in error.message
    assert "deployed" in error.hint and "nothing uses it" not in error.hint


def test_a_key_in_its_waiting_period_was_not_kept(tmp_path: Path) -> None:
    error = destroyed(tmp_path, cloud([KEPT[3]], key="PendingDeletion"))
    assert "key" not in error.message and error.hint == "There is nothing to destroy."


def test_data_from_before_a_failed_deploy_is_expected(tmp_path: Path) -> None:
    # Given a stack without resources, since its table's name was taken by data kept before
    found = proven(cloud(KEPT), tmp_path)
    # Then they are left, as they should be
    assert found.clean
    assert {(i.kind, i.why) for i in found.left if i.name in (BUCKET, "shop-dev-table", "k-1")} == {
        (kind, "kept by an earlier `rtp destroy --keep-data`") for kind in ("bucket", "table", "key")
    }


def test_a_log_group_from_before_a_failed_deploy_is_not_deleted(tmp_path: Path) -> None:
    # Given a log group that an earlier stack has retained, and a stack that could not create it
    name = "/aws/lambda/shop-dev-worker"
    aws = cloud([])
    aws.answers["describe_log_groups"] = lambda **_: {"logGroups": [{"logGroupName": name}]}
    deleted: list[str] = []
    aws.answers["delete_log_group"] = lambda logGroupName: deleted.append(logGroupName)
    for status, gone in (("CREATE_FAILED", []), ("CREATE_COMPLETE", [name])):
        # When it is destroyed / Then the logs are still there, and only those that the stack had made are not
        rows = [resource("Logs", name, "AWS::Logs::LogGroup", status)]
        found = proven(aws, tmp_path, rows)
        assert deleted == gone
        assert [item.name for item in found.left if item.kind == "log group"] == ([] if gone else [name])


def test_a_resource_with_our_tags_that_is_no_kept_data_is_unexpected(tmp_path: Path) -> None:
    stray = "arn:aws:s3:::shop-dev-accesslogs-x1"
    assert not proven(cloud([stray], kept=False), tmp_path).clean


def test_data_is_called_kept_only_where_cloudformation_knows_that(tmp_path: Path) -> None:
    # Given data with the names of a stack of which CloudFormation knows nothing any more
    error = destroyed(tmp_path, cloud(KEPT, kept=False))
    # Then it is listed, without a claim about how it came to stay
    assert f"Still there, of an earlier stack: table shop-dev-table, bucket {BUCKET}" in error.message
    assert "kept by" not in error.message


@pytest.mark.parametrize(("drain", "hints"), [(False, 1), (True, 0)])
def test_the_plan_says_how_to_save_messages_that_would_be_lost(tmp_path: Path, drain: bool, hints: int) -> None:
    # Given messages in both queues
    env = environment(tmp_path)
    rows = [resource(n, f"https://sqs/1/{n}", resource_types.QUEUE) for n in (env.names.queue, env.names.dlq)]
    plan = inventory.plan(Target(cloud([], depth=3), env), rows, {}, frozenset(), drain=drain)
    said = drawn(plan, env)
    # Then the dead ones can be exported, and the others be worked off, unless they are
    assert said.count("--drain") == hints
    assert f"lost: 3 messages in {env.names.dlq}; `rtp dlq inspect --export FILE` saves them" in said
    assert (f"lost: 3 messages in {env.names.queue}" in said) is not drain
    first = f"drained first: {env.names.queue} with 3 messages; meanwhile clients of the API get 429"
    assert (first in said and "go to the DLQ, which is deleted with the stack" in said) is drain


def test_a_plan_that_keeps_data_says_that_the_next_deploy_fails(tmp_path: Path) -> None:
    env = environment(tmp_path)
    rows = [resource("Table", env.names.table, resource_types.TABLE)]
    kept = inventory.plan(Target(cloud([]), env), rows, {}, frozenset({"Table"}))
    assert kept.blocks and "no pipeline of this name can be deployed again" in drawn(kept, env)
    gone = inventory.plan(Target(cloud([]), env), rows, {}, frozenset())
    assert not gone.blocks and "deployed again" not in drawn(gone, env)
    assert ": 1 resource will be deleted" in drawn(gone, env)


GLUE = "AWS::Glue::Database"
OF_EXTENSION = {
    "Rates": {"Type": resource_types.TABLE, "DeletionPolicy": "Delete"},
    "Orders": {"Type": "AWS::RDS::DBInstance", "DeletionPolicy": "Snapshot"},
    "Files": {"Type": "AWS::EFS::FileSystem"},
    "Kept": {"Type": "AWS::Kinesis::Stream", "DeletionPolicy": "Retain"},
    "Lake": {"Type": GLUE},
    "Rule": {"Type": "AWS::Events::Rule"},
    "Hook": {"Type": "Custom::Hook"},
}


def test_data_that_an_extension_added_is_shown_and_kept_like_rtp_s_own(tmp_path: Path) -> None:
    # Given resources of `[infra] extend`
    env, template = environment(tmp_path), {"Resources": OF_EXTENSION}
    rows = [resource(id, id.lower(), entry["Type"]) for id, entry in OF_EXTENSION.items()]
    # When all is destroyed / Then the data are listed, and the type that rtp does not know by name
    keep = inventory.kept(template, keep_data=False)
    plan = inventory.plan(Target(cloud([]), env), rows, template, keep)
    goes = {item.name: (item.kind, item.note) for item in plan.goes}
    assert goes == {
        "rates": ("table", ""),
        "orders": ("database", "a snapshot of it stays"),
        "files": ("file system", ""),
    }
    assert ("stream", "kept") in {(item.kind, item.name) for item in plan.stays}
    assert [(item.kind, item.name) for item in plan.unknown] == [(GLUE, "lake")]
    assert f"not known whether it holds data: {GLUE} lake" in drawn(plan, env)
    # When the data are kept / Then theirs too, the one with a snapshot itself
    keep = inventory.kept(template, keep_data=True)
    assert keep == {"Rates", "Orders", "Files", "Kept"}
    plan = inventory.plan(Target(cloud([]), env), rows, template, keep)
    assert plan.goes == () and {"rates", "orders", "files", "kept"} <= {item.name for item in plan.stays}
    # And the proof lists what cannot be asked by name, and calls nothing gone of which it does not know
    aws = cloud([])
    aws.answers["describe_rule"] = NOTHING["describe_table"]
    found = finished(proof.prove(Target(aws, env), rows, keep, keep_data=True, api_id="", clock=FakeClock().clock))
    assert {(i.kind, i.name) for i in found.gone.not_asked} == {(GLUE, "lake"), ("Custom::Hook", "hook")}
    left = {(i.kind, i.name, i.expected) for i in found.left}
    assert {("database", "orders", True), ("file system", "files", True), ("stream", "kept", True)} <= left


def drawn(plan: inventory.Plan, env: Environment) -> str:
    said = io.StringIO()
    Output(stderr=said).say(*plan_views(plan, dlq=env.names.dlq))
    return " ".join(said.getvalue().split())
