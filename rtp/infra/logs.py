"""Log groups of our own: one that a service makes by itself never expires and outlives the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

if TYPE_CHECKING:
    from constructs import Construct

    from rtp.infra.plan import Plan


def log_group(scope: Construct, id: str, *, plan: Plan, key: kms.IKey, name: str) -> logs.LogGroup:
    """An encrypted log group with the environment's retention; kept with a protected environment's data."""
    group = logs.LogGroup(
        scope,
        id,
        log_group_name=name,
        encryption_key=key,
        removal_policy=RemovalPolicy.RETAIN if plan.protected else RemovalPolicy.DESTROY,
    )
    # RetentionDays names its members in words; the resource itself takes the number that rtp.toml has.
    cast("logs.CfnLogGroup", group.node.default_child).retention_in_days = plan.settings.log_retention_days
    return group
