"""Rollout of a new version: CodeDeploy shifts the aliases in steps, and back when an alarm fires."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from constructs import Construct

from rtp.contract import ROLLBACK_ALARMS
from rtp.infra import metrics
from rtp.infra.monitoring import notifying
from rtp.infra.processing import ALIAS

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch
    from aws_cdk import aws_lambda as lambda_

    from rtp.infra.monitoring import Monitoring
    from rtp.infra.plan import Plan
    from rtp.infra.processing import Processing

CONFIGURATIONS = {"canary-10-5m": "CANARY_10_PERCENT_5_MINUTES", "linear-10-1m": "LINEAR_10_PERCENT_EVERY_1_MINUTE"}


class Rollout(Construct):
    """A CodeDeploy application with a deployment group for each function's alias.

    While the new version has a tenth of the traffic, the alarms of a whole function see little of it: each function has
    two alarms of its newest version alone, which decide within three minutes.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        plan: Plan,
        processing: Processing,
        monitoring: Monitoring,
    ) -> None:
        super().__init__(scope, id)
        names = plan.names
        application = codedeploy.LambdaApplication(self, "Application", application_name=names.stack)
        aliases = processing.aliases
        role = iam.Role(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
            description=f"What CodeDeploy may do for {names.stack}",
            inline_policies={
                "shift": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            sid="Shift",
                            actions=[
                                "lambda:GetAlias",
                                "lambda:GetProvisionedConcurrencyConfig",
                                "lambda:UpdateAlias",
                            ],
                            resources=[
                                arn
                                for function in processing.functions
                                for arn in (function.function_arn, f"{function.function_arn}:*")
                            ],
                        ),
                        # DescribeAlarms has no resource-level permissions.
                        iam.PolicyStatement(sid="Alarms", actions=["cloudwatch:DescribeAlarms"], resources=["*"]),
                    ]
                )
            },
        )
        configuration = getattr(codedeploy.LambdaDeploymentConfig, CONFIGURATIONS[plan.settings.rollout])
        triggers = [monitoring.alarms[trigger] for trigger in ROLLBACK_ALARMS]
        for function, alias in aliases.items():
            codedeploy.LambdaDeploymentGroup(
                self,
                f"{function.node.id}Group",
                application=application,
                alias=alias,
                deployment_config=configuration,
                alarms=[*triggers, *self._of_version(function, plan, monitoring)],
                auto_rollback=codedeploy.AutoRollbackConfig(
                    failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True
                ),
                role=role.without_policy_updates(),
            )

    def _of_version(self, function: lambda_.Function, plan: Plan, monitoring: Monitoring) -> list[cloudwatch.Alarm]:
        """Errors and duration of the function's newest version."""
        limits, name, version = plan.settings, function.node.id, function.current_version.version
        function_name = plan.names.worker if name == "Worker" else plan.names.processor

        def alarm(kind: str, metric: str, statistic: str, threshold: float, periods: int) -> cloudwatch.Alarm:
            return notifying(
                self,
                f"{name}{kind.title()}",
                monitoring.notify,
                alarm_name=f"{function_name}-rollout-{kind}",
                alarm_description="The newest version is worse than allowed; its rollout is rolled back. See "
                "`rtp docs incident`.",
                metric=metrics.of_version(function_name, ALIAS, version, metric, statistic),
                threshold=threshold,
                evaluation_periods=periods,
            )

        return [
            alarm("errors", "Errors", "Sum", math.ceil(limits.alarm_errors / 5), 1),  # the rate of `alarm_errors`
            alarm("duration", "Duration", "p95", limits.alarm_duration_ms, 2),
        ]
