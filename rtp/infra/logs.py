"""Log groups of the stack. One that a service creates by itself never expires, and outlives the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from aws_cdk import RemovalPolicy
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs

if TYPE_CHECKING:
    from constructs import Construct

    from rtp.infra.plan import Plan


def log_group(scope: Construct, id: str, *, plan: Plan, key: kms.IKey, name: str) -> logs.LogGroup:
    """An encrypted log group with the environment's retention; retained where the environment is protected."""
    group = logs.LogGroup(
        scope,
        id,
        log_group_name=name,
        encryption_key=key,
        removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if plan.protected else RemovalPolicy.DESTROY,
    )
    # The members of RetentionDays are words; the L1 resource accepts the number from rtp.toml.
    cast("logs.CfnLogGroup", group.node.default_child).retention_in_days = plan.settings.log_retention_days
    return group
