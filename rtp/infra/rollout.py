"""How a new version takes the traffic: CodeDeploy moves the aliases step by step, and back when an alarm fires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from constructs import Construct

from rtp.contract import ROLLBACK_ALARMS

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch

    from rtp.contract import Alarm
    from rtp.infra.plan import Plan
    from rtp.infra.processing import Processing

CONFIGURATIONS = {"canary-10-5m": "CANARY_10_PERCENT_5_MINUTES", "linear-10-1m": "LINEAR_10_PERCENT_EVERY_1_MINUTE"}


class Rollout(Construct):
    """A CodeDeploy application with a deployment group for each function's alias."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        plan: Plan,
        processing: Processing,
        alarms: dict[Alarm, cloudwatch.Alarm],
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
                                for made in processing.functions
                                for arn in (made.function_arn, f"{made.function_arn}:*")
                            ],
                        ),
                        # DescribeAlarms knows no resources.
                        iam.PolicyStatement(sid="Alarms", actions=["cloudwatch:DescribeAlarms"], resources=["*"]),
                    ]
                )
            },
        )
        configuration = getattr(codedeploy.LambdaDeploymentConfig, CONFIGURATIONS[plan.settings.rollout])
        for made, alias in aliases.items():
            codedeploy.LambdaDeploymentGroup(
                self,
                f"{made.node.id}Group",
                application=application,
                alias=alias,
                deployment_config=configuration,
                alarms=[alarms[trigger] for trigger in ROLLBACK_ALARMS],
                auto_rollback=codedeploy.AutoRollbackConfig(
                    failed_deployment=True, stopped_deployment=True, deployment_in_alarm=True
                ),
                role=role.without_policy_updates(),
            )
