"""API Gateway's logging role before a deploy: looked up, asked for, made, and waited for."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws import account
from rtp.commands.render.progress import Progress
from rtp.config import Environment
from rtp.errors import AwsError, ConfigError, RefusedError, WaitTimeoutError
from rtp.ops.access.question import Question
from rtp.ops.stack.apply import logging_role
from rtp.ops.stack.operation import Operation, Target
from rtp.ops.stack.steps import Note, Waiting, Warn
from rtp.ops.work.clock import Clock
from rtp.terminal.output import Output
from tests.unit.deploy.fakes import FakeAws
from tests.unit.deploy.stubs import ACCOUNT, STS, stubbed

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.stack.steps import Step

ROLE = f"arn:aws:iam::{ACCOUNT}:role/{account.API_LOGGING_ROLE}"
POLICY = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
REFUSED = AwsError(
    "The role ARN does not have required permissions set to API Gateway", service_code="BadRequestException"
)
ACCESS_LOG = {"AccessLogSetting": {"DestinationArn": "arn", "Format": "{}"}}


def template(**stage: Any) -> dict[str, Any]:
    return {"Resources": {"Stage": {"Type": "AWS::ApiGateway::Stage", "Properties": stage}, "Queue": {"Type": "x"}}}


@dataclass
class Account:
    """An account without the role. refusals: what the next settings of the role are answered with."""

    refusals: list[AwsError] = field(default_factory=list)
    role: str = ""
    look_up: AwsError | None = None
    exists: bool = False
    now: float = 0.0
    questions: list[Question] = field(default_factory=list)
    aws: Any = None

    def __post_init__(self) -> None:
        self.aws = FakeAws(
            {
                "get_account": self._get,
                "create_role": self._create,
                "attach_role_policy": lambda **_: {},
                "update_account": self._update,
            }
        )

    def deploy(
        self,
        tmp_path: Path,
        new: dict[str, Any],
        old: dict[str, Any] | None = None,
        *,
        consent: bool = True,
        **how: bool,
    ) -> list[Step]:
        """The steps of the check, for an environment on AWS or, with local, on the engine."""
        name = "local" if how.pop("local", False) else "dev"
        target = Target(self.aws, Environment(name=name, root=tmp_path, region="us-east-1"))

        def ask(question: Question) -> None:
            self.questions.append(question)
            if not consent:
                raise RefusedError("Not confirmed; nothing was changed.")

        clock = Clock(monotonic=lambda: self.now, sleep=self._sleep)
        options = {"make": False, "dry_run": False, **how}
        return list(logging_role.ensure(target, old or {}, new, Operation(ask), clock=clock, **options))

    def _get(self, **_: Any) -> Any:
        if self.look_up is not None:
            raise self.look_up
        return {"cloudwatchRoleArn": self.role} if self.role else {}

    def _create(self, **_: Any) -> Any:
        if self.exists:
            raise AwsError("exists", service_code="EntityAlreadyExists")
        self.exists = True
        return {}

    def _update(self, *, patchOperations: list[dict[str, str]]) -> Any:
        if self.refusals:
            raise self.refusals.pop(0)
        self.role = patchOperations[0]["value"]
        return {}

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("stage", [ACCESS_LOG, {"MethodSettings": [{"LoggingLevel": "ERROR"}]}])
def test_a_deploy_without_the_role_ends_before_it_publishes_and_names_both_ways(
    tmp_path: Path, stage: dict[str, Any]
) -> None:
    # Given an account without the role, and an operator who does not want it
    world = Account()
    with pytest.raises(ConfigError) as caught:
        world.deploy(tmp_path, template(**stage), consent=False)
    # Then nothing is made, and the error says how to go on
    assert (caught.value.code, world.aws.operations()) == ("no-logging-role", ["get_account"])
    assert "--make-logging-role" in caught.value.hint and "api_logs = false" in caught.value.hint
    [question] = world.questions
    assert not question.answered_by_yes and "belongs to the account" in " ".join(question.about)


def test_nothing_is_looked_up_where_no_stage_with_logs_is_created_or_changed(tmp_path: Path) -> None:
    world = Account()
    assert world.deploy(tmp_path, template(MethodSettings=[{"LoggingLevel": "OFF"}])) == []
    assert world.deploy(tmp_path, template(**ACCESS_LOG), template(**ACCESS_LOG)) == []
    assert world.deploy(tmp_path, template(**ACCESS_LOG), local=True) == []
    assert world.aws.operations() == []


def test_a_role_that_exists_and_a_denied_look_up_change_nothing(tmp_path: Path) -> None:
    for world in (Account(role="arn"), Account(look_up=AwsError("no", code="access-denied"))):
        assert world.deploy(tmp_path, template(**ACCESS_LOG)) == []
        assert world.aws.operations() == ["get_account"] and not world.questions
    with pytest.raises(AwsError, match="down"):
        Account(look_up=AwsError("down", code="unavailable")).deploy(tmp_path, template(**ACCESS_LOG))


def test_a_dry_run_only_warns(tmp_path: Path) -> None:
    world = Account()
    [warning] = world.deploy(tmp_path, template(**ACCESS_LOG), dry_run=True, make=True)
    assert isinstance(warning, Warn) and "api_logs = false" in warning.message
    assert world.aws.operations() == ["get_account"] and not world.questions


def test_the_role_is_made_with_consent_and_waited_for(tmp_path: Path) -> None:
    # Given IAM that tells API Gateway of the role after 40 s, and a throttle on the way
    world = Account([REFUSED, AwsError("too many", code="throttled")])
    steps = world.deploy(tmp_path, template(**ACCESS_LOG))
    # Then the role is set, and each wait said what for
    assert world.role == ROLE and world.now == 40
    waits = [step.message for step in steps if isinstance(step, Waiting)]
    assert [("does not accept the new role yet" in text, text[-6:]) for text in waits] == [
        (True, "ateway"),
        (True, "o many"),
    ]
    assert isinstance(steps[-1], Note) and ROLE in steps[-1].message


def test_the_option_consents_and_a_role_of_an_earlier_run_is_taken(tmp_path: Path) -> None:
    world = Account(exists=True)
    world.deploy(tmp_path, template(**ACCESS_LOG), make=True)
    assert world.role == ROLE and not world.questions


def test_the_wait_for_the_role_has_an_end(tmp_path: Path) -> None:
    world = Account([REFUSED] * 9)
    with pytest.raises(WaitTimeoutError, match="within 60 s: The role ARN does not have required permissions"):
        world.deploy(tmp_path, template(**ACCESS_LOG), make=True)
    assert world.now == 60


def test_another_refusal_ends_at_once(tmp_path: Path) -> None:
    world = Account([AwsError("not allowed", code="access-denied", service_code="AccessDenied")])
    with pytest.raises(AwsError, match="not allowed"):
        world.deploy(tmp_path, template(**ACCESS_LOG), make=True)
    assert world.now == 0


def test_the_requests_are_those_of_the_services() -> None:
    # Given the services' own models of their requests
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "apigateway.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEqualsIfExists": {"aws:SourceAccount": ACCOUNT}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = {"Path": "/", "RoleName": "rtp-api-gateway-logs", "RoleId": "A" * 20, "Arn": ROLE, "CreateDate": 0}
    with stubbed("sts", "iam", "apigateway") as (aws, stubs):
        stubs["sts"].add_response("get_caller_identity", STS)
        expected = {"RoleName": "rtp-api-gateway-logs", "Description": _any(), "AssumeRolePolicyDocument": document}
        stubs["iam"].add_response("create_role", {"Role": role}, expected)
        attached = {"RoleName": "rtp-api-gateway-logs", "PolicyArn": POLICY}
        stubs["iam"].add_response("attach_role_policy", {}, attached)
        patch = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": ROLE}]
        stubs["apigateway"].add_response("update_account", {"cloudwatchRoleArn": ROLE}, {"patchOperations": patch})
        account.set_api_logging_role(aws, account.create_api_logging_role(aws))


def test_yes_does_not_answer_a_question_about_the_account() -> None:
    progress = Progress(Output(stderr=io.StringIO()))
    progress.ask(Question("Update it?"), yes=True)
    with pytest.raises(RefusedError):
        progress.ask(Question("Make this role?", answered_by_yes=False), yes=True)


def _any() -> Any:
    from botocore.stub import ANY

    return ANY
