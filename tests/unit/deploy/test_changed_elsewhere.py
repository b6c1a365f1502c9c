"""A deploy that only continues its own: it refuses where another command has deleted or deployed the stack."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import stacks
from rtp.config import Environment
from rtp.errors import AwsError, ExitCode, RefusedError
from rtp.ops.stack import deploy
from rtp.ops.stack.operation import Target
from rtp.ops.stack.options import Mark
from tests.unit.deploy.fakes import STACK, STACK_ID, FakeAws, tags

if TYPE_CHECKING:
    from pathlib import Path

CREATED, UPDATED = datetime(2026, 1, 31, 12, tzinfo=UTC), datetime(2026, 1, 31, 13, tzinfo=UTC)


def account(stack_id: str = STACK_ID, updated: datetime | None = UPDATED, code: str | AwsError = "own") -> Any:
    """An account with one stack; with none where stack_id is empty. code: of both functions, or the error of a read."""

    def function(**_: Any) -> dict[str, Any]:
        if isinstance(code, AwsError):
            raise code
        return {"CodeSha256": code}

    row = {"StackName": STACK, "StackId": stack_id, "StackStatus": "UPDATE_COMPLETE", "CreationTime": CREATED}
    row |= {"Tags": tags("shop", "dev")} | ({} if updated is None else {"LastUpdatedTime": updated})
    stacks_ = {"Stacks": [row] if stack_id else []}
    return FakeAws({"describe_stacks": lambda **_: stacks_, "get_function_configuration": function})


def check(root: Path, aws: Any, before: Mark | None) -> None:
    environment = Environment(name="dev", project="shop", root=root)
    stack = stacks.describe(aws, STACK)
    deploy.check_unchanged(Target(aws, environment), stack, before)


def test_the_stack_of_the_last_own_operation_passes(tmp_path: Path) -> None:
    aws = account()
    check(tmp_path, aws, deploy.mark(aws, Environment(name="dev", project="shop", root=tmp_path)))
    check(tmp_path, account(""), None)


def test_other_code_of_another_command_is_refused(tmp_path: Path) -> None:
    """Of a rollback or another watch, which CloudFormation does not know."""
    mine = deploy.mark(account(), Environment(name="dev", project="shop", root=tmp_path))
    with pytest.raises(RefusedError) as caught:
        check(tmp_path, account(code="of a rollback"), mine)
    assert caught.value.code == "changed-elsewhere"
    assert "got other code by another command" in caught.value.message and "`rtp deploy`" in caught.value.hint


def test_code_that_cannot_be_read_or_is_gone_is_not_compared(tmp_path: Path) -> None:
    environment = Environment(name="dev", project="shop", root=tmp_path)
    denied, gone = AwsError("no", code="access-denied"), AwsError("no", service_code="ResourceNotFoundException")
    mine = deploy.mark(account(), environment)
    for now in (denied, gone):
        check(tmp_path, account(code=now), mine)
    for before in (denied, AwsError("lambda was throttled", code="throttled")):
        check(tmp_path, account(), deploy.mark(account(code=before), environment))


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (account(""), "shop-dev was deleted by another command; nothing was changed"),
        (account(STACK_ID + "2"), "shop-dev was deleted and created again by another command"),
        (account(updated=datetime(2026, 1, 31, 14, tzinfo=UTC)), "shop-dev was deployed by another command at "),
    ],
    ids=["deleted", "created again", "updated"],
)
def test_a_change_by_another_command_is_refused(tmp_path: Path, now: Any, text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check(tmp_path, now, Mark(STACK_ID, UPDATED))
    assert text in caught.value.message
    assert (caught.value.code, caught.value.exit_code) == ("changed-elsewhere", ExitCode.REFUSED)
    assert "`rtp deploy`" in caught.value.hint


def test_a_stack_whose_last_update_could_not_be_read_is_compared_by_its_id(tmp_path: Path) -> None:
    unread = Mark(STACK_ID, UPDATED, is_time_known=False)
    check(tmp_path, account(updated=datetime(2026, 1, 31, 14, tzinfo=UTC)), unread)
    for gone in (account(""), account(STACK_ID + "2")):
        with pytest.raises(RefusedError):
            check(tmp_path, gone, unread)


def test_a_stack_that_was_gone_already_is_not_created(tmp_path: Path) -> None:
    environment = Environment(name="dev", project="shop", root=tmp_path)
    with pytest.raises(RefusedError):
        check(tmp_path, account(""), deploy.mark(account(""), environment))
