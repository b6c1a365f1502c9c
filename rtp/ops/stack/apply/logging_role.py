"""The account's role with which API Gateway writes logs: without it, a stage with logs fails minutes into a deploy.

The role belongs to the account and region, not to a stack, so rtp makes it only with consent of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.aws import account, resource_types
from rtp.errors import AwsError, ConfigError, RefusedError, WaitTimeoutError
from rtp.ops.access.question import Question
from rtp.ops.stack.steps import Note, Phase, Waiting, Warn
from rtp.ops.work.clock import SYSTEM
from rtp.ops.work.polling import every

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rtp.aws import Aws
    from rtp.ops.stack.operation import Operation, Target
    from rtp.ops.stack.steps import Step
    from rtp.ops.work.clock import Clock

_PAUSE_S = 20.0  # UpdateAccount takes one request of an account in 20 s, a quota that cannot be raised
_TIMEOUT_S = 60.0
# The answers of IAM and of API Gateway, the latter with several texts, until a new role is known everywhere.
_NOT_YET = ("BadRequestException", "NoSuchEntity")


def ensure(
    target: Target,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    operation: Operation,
    *,
    make: bool,
    dry_run: bool,
    clock: Clock = SYSTEM,
) -> Iterator[Step]:
    """Check that API Gateway has the role where a stage of the new template needs it, and make it with consent.

    old, new: templates. make: consent was given by an option. Raises ConfigError without consent, AwsError,
    WaitTimeoutError. A look-up that is denied is no failure: a deploy works without that permission.
    """
    if target.environment.local or not _needed(old, new):
        return
    aws = target.aws
    try:
        if account.api_logging_role(aws):
            return
    except AwsError as error:
        if error.code == "access-denied":
            return
        raise
    missing = _no_role(aws)
    if dry_run:
        yield Warn(f"{missing.message} {missing.hint}")
        return
    if not make:
        try:
            operation.consent(_question(missing.message))
        except RefusedError:
            raise missing from None
    yield Phase("making API Gateway's logging role")
    yield from _make(aws, clock)


def _needed(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether CloudFormation would create or change a stage that writes logs."""
    before = _stages(old)
    return any(stage != before.get(name) and _logs(stage) for name, stage in _stages(new).items())


def _stages(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    resources: Mapping[str, Any] = template.get("Resources") or {}
    return {
        name: each.get("Properties") or {}
        for name, each in resources.items()
        if each.get("Type") == resource_types.STAGE
    }


def _logs(stage: Mapping[str, Any]) -> bool:
    levels = [setting.get("LoggingLevel", "OFF") for setting in stage.get("MethodSettings") or ()]
    return bool(stage.get("AccessLogSetting")) or any(level != "OFF" for level in levels)


def _no_role(aws: Aws) -> ConfigError:
    return ConfigError(
        f"API Gateway has no role to write logs with in account {aws.account} and {aws.region}, so it would refuse "
        "the API's stage.",
        hint="Make the role, which all APIs of the account then use, with `rtp deploy --make-logging-role`; "
        "or deploy without the API's logs: api_logs = false in rtp.toml.",
        code="no-logging-role",
    )


def _question(reason: str) -> Question:
    about = (
        reason,
        f"rtp can make the role {account.API_LOGGING_ROLE}, with AWS's policy {account.API_LOGGING_POLICY}. It belongs "
        "to the account: all its APIs use the role, and `rtp destroy` leaves it.",
    )
    return Question("Make this role?", about, answered_by_yes=False)


def _make(aws: Aws, clock: Clock) -> Iterator[Step]:
    """Make the role, or take that of an earlier run, and set it. Raises AwsError, WaitTimeoutError."""
    arn = account.create_api_logging_role(aws)
    for left_s in every(_PAUSE_S, timeout_s=_TIMEOUT_S, clock=clock):
        try:
            account.set_api_logging_role(aws, arn)
        except AwsError as error:
            if not (error.passes or error.service_code in _NOT_YET):
                raise
            refusal = error.message.rstrip(".")
            yield Waiting(f"API Gateway does not accept the new role yet; asking for another {left_s:.0f} s: {refusal}")
        else:
            yield Note(f"API Gateway writes logs with {arn} in {aws.region}")
            return
    raise WaitTimeoutError(
        f"API Gateway did not accept the role {arn} within {_TIMEOUT_S:.0f} s: {refusal}. The stack was not changed.",
        hint="Repeat the command: IAM may take longer. If it fails again, compare the role's trust policy and policies "
        "with API Gateway's documentation, or set api_logs = false in rtp.toml.",
        code="logging-role",
    )
