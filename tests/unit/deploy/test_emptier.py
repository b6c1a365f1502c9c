"""An emptier of an older rtp is not called while the buckets stay: neither by a deploy nor by a rollback it starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.config import Environment
from rtp.errors import AwsError, ExitCode, RefusedError
from rtp.ops.stack.apply import emptier
from rtp.ops.stack.build.synth import Assembly
from rtp.ops.stack.compare import approval
from rtp.ops.stack.operation import Target
from rtp.ops.stack.steps import Warn
from rtp.ops.stack.teardown import retain
from tests.unit.deploy.fakes import STACK, FakeAws, resource, stack
from tests.unit.deploy.test_changes import GUARDED, OLD, TABLE, template

if TYPE_CHECKING:
    from rtp.aws.stacks import Resource

ENV = Environment(name="dev", project="shop", root=Path())
OLD_HANDLER, NEW_HANDLER = "rtp.runtime.emptier.handler", "rtp.runtime.emptier.guarded_handler"
EMPTIED = {
    "LogicalResourceId": "Emptied",
    "PhysicalResourceId": "e",
    "ResourceType": "Custom::EmptyBuckets",
    "ResourceStatus": "CREATE_COMPLETE",
}


def aws(handler: str | AwsError | None, *, resources: tuple[dict[str, str], ...] = (EMPTIED,)) -> Any:
    """An account whose function has this handler; None for no function."""
    at_lambda = {"Handler": handler}

    def configuration(FunctionName: str) -> dict[str, Any]:
        assert FunctionName == "shop-dev-emptier"
        if isinstance(handler, AwsError):
            raise handler
        if handler is None:
            raise AwsError("not found", service_code="ResourceNotFoundException")
        return {"Handler": at_lambda["Handler"], "LastUpdateStatus": "Successful"}

    def configure(FunctionName: str, Handler: str) -> None:
        assert FunctionName == "shop-dev-emptier"
        at_lambda["Handler"] = Handler

    return FakeAws(
        {
            "get_function_configuration": configuration,
            "list_stack_resources": lambda **_: {"StackResourceSummaries": list(resources)},
            "update_function_code": lambda **_: None,
            "update_function_configuration": configure,
        }
    )


def check(account: Any, old: dict[str, Any], new: dict[str, Any], *, working: bool = True) -> None:
    status = "UPDATE_COMPLETE" if working else "UPDATE_FAILED"
    emptier.check_removal(Target(account, ENV), stack(status), old, new)


def test_a_deploy_that_would_remove_an_old_emptier_is_refused_with_the_fix() -> None:
    # Given an environment that was deployed by an older rtp / When a deploy would remove what empties the buckets
    with pytest.raises(RefusedError) as caught:
        check(aws(OLD_HANDLER), OLD, template())
    # Then it is refused, and one ordinary deploy is asked for
    assert caught.value.exit_code is ExitCode.REFUSED
    assert "shop-dev-emptier" in caught.value.message and "Nothing was changed" in caught.value.message
    assert "protected = false" in caught.value.hint and "[env.dev]" in caught.value.hint


def test_a_deploy_that_would_replace_an_old_emptier_is_refused() -> None:
    new = template(Elsewhere=GUARDED["Resources"]["Emptied"], Emptier=GUARDED["Resources"]["Emptier"])
    with pytest.raises(RefusedError):
        check(aws(OLD_HANDLER), OLD, new)


def test_a_deploy_that_removes_a_guarded_emptier_or_none_is_allowed() -> None:
    account = aws(OLD_HANDLER)
    check(account, OLD, GUARDED)
    check(account, template(T=TABLE), template())
    assert account.asked == []  # which costs no call
    check(aws(NEW_HANDLER), GUARDED, template())


def test_the_deployed_function_counts_more_than_the_template() -> None:
    # Given a stack whose rollback left the function out, so that an old one runs under a new template
    with pytest.raises(RefusedError):
        check(aws(OLD_HANDLER), GUARDED, template())
    # Given one that somebody has deleted, which nobody can call
    check(aws(None), OLD, template())


def test_without_permission_to_read_the_function_the_template_decides() -> None:
    denied = AwsError("AccessDenied", code="access-denied")
    check(aws(denied), GUARDED, template())
    with pytest.raises(RefusedError):
        check(aws(denied), OLD, template())
    # But not that of an unfinished update
    with pytest.raises(AwsError, match="AccessDenied"):
        check(aws(denied), GUARDED, template(), working=False)


def test_an_unfinished_update_is_judged_by_its_resources() -> None:
    # Given an update that was left half-way and has added an old emptier, of which the earlier template knows nothing
    with pytest.raises(RefusedError):
        check(aws(OLD_HANDLER), template(T=TABLE), template(T=TABLE), working=False)
    check(aws(NEW_HANDLER), template(T=TABLE), template(T=TABLE), working=False)
    check(aws(OLD_HANDLER, resources=()), template(T=TABLE), template(T=TABLE), working=False)
    check(aws(OLD_HANDLER), template(T=TABLE), GUARDED, working=False)


@pytest.fixture
def built(tmp_path: Path) -> Assembly:
    code = {"FunctionName": "shop-dev-processor", "Code": {"S3Bucket": "cdk", "S3Key": "0a.zip"}}
    (tmp_path / "asset.0a.zip").write_bytes(b"new code")
    (tmp_path / "shop-dev.assets.json").write_text(
        '{"files": {"0a": {"source": {"path": "asset.0a.zip"},'
        ' "destinations": {"d": {"bucketName": "cdk", "objectKey": "0a.zip"}}}}}'
    )
    return Assembly(
        tmp_path,
        tmp_path / "t.json",
        template(Processor={"Type": "AWS::Lambda::Function", "Properties": code}),
        cached=False,
    )


def test_before_a_rollback_an_old_emptier_gets_new_code(built: Assembly) -> None:
    # Given an update that has added an old emptier / When it is to be rolled back
    account = aws(OLD_HANDLER)
    steps = list(emptier.replace_before_rollback(Target(account, ENV), stack("UPDATE_FAILED"), built))
    # Then the function has the new code before it is called by its new name, and the operator is told
    changes = [(name, asked) for name, asked in account.asked if name.startswith("update_")]
    assert changes == [
        ("update_function_code", {"FunctionName": "shop-dev-emptier", "ZipFile": b"new code"}),
        ("update_function_configuration", {"FunctionName": "shop-dev-emptier", "Handler": NEW_HANDLER}),
    ]
    assert isinstance(steps[0], Warn) and "shop-dev-emptier" in steps[0].message
    # When it is asked for again / Then there is nothing to do
    assert list(emptier.replace_before_rollback(Target(account, ENV), stack("UPDATE_FAILED"), built)) == []


@pytest.mark.parametrize(
    "account", [aws(NEW_HANDLER), aws(None), aws(OLD_HANDLER, resources=())], ids=["new", "gone", "none"]
)
def test_before_a_rollback_nothing_else_is_changed(account: Any, built: Assembly) -> None:
    assert list(emptier.replace_before_rollback(Target(account, ENV), stack("UPDATE_ROLLBACK_FAILED"), built)) == []
    assert not [name for name in account.operations() if name.startswith("update_")]


def test_the_removal_of_a_foreign_custom_resource_needs_consent() -> None:
    # Given a stack with a custom resource that somebody has added, of which nothing is known
    old = template(Theirs={"Type": "Custom::Theirs", "Properties": {"ServiceToken": "arn"}})
    # When a deploy would remove it / Then that is a question
    plan = approval.plan(STACK, old, template(), {}, None, create=False)
    (question,) = approval.questions(plan, ENV)
    assert "Theirs" in question.about[0] and "may delete data" in question.about[0]


def test_data_that_is_not_in_the_template_cannot_be_kept() -> None:
    # Given an unfinished update that has added a bucket and what empties it
    def of(name: str, kind: str) -> Resource:
        return resource(name, name, kind)

    resources = [
        of("T", "AWS::DynamoDB::Table"),
        of("Emptied", "Custom::EmptyBuckets"),
        of("Fn", "AWS::Lambda::Function"),
    ]
    # When the data is to be kept / Then the destroy is refused
    with pytest.raises(RefusedError, match="Emptied") as caught:
        retain.check(stack("UPDATE_FAILED"), resources, frozenset({"T"}))
    assert "nothing was deleted" in caught.value.message
    retain.check(stack("UPDATE_FAILED"), resources, frozenset({"T", "Emptied"}))
