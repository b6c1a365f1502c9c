"""A Lambda function as rtp creates it: with its own role and log group, X-Ray tracing and encryption."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_

from rtp.infra.logs import log_group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_logs as logs
    from constructs import Construct

    from rtp.config.settings import Vpc
    from rtp.infra.plan import Plan

RUNTIME = lambda_.Runtime.PYTHON_3_14
ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """The properties in which the functions differ. about: its description.

    own: what rtp.toml allows it. vpc: its private network; None for none.
    """

    name: str
    about: str
    handler: str
    timeout_s: int
    memory_mb: int
    statements: Sequence[iam.PolicyStatement]
    environment: Mapping[str, str] = field(default_factory=dict)
    layers: Sequence[lambda_.ILayerVersion] = ()
    reserved_concurrency: int | None = None
    own: Sequence[iam.PolicyStatement] = ()
    vpc: Vpc | None = None
    ephemeral_storage_mb: int | None = None


def function(
    scope: Construct, id: str, *, plan: Plan, key: kms.IKey, code: lambda_.Code, purpose: Purpose
) -> lambda_.Function:
    """Create a function, and its role `{id}Role` and log group `{id}Logs` in the same scope."""
    group = log_group(scope, f"{id}Logs", plan=plan, key=key, name=plan.names.log_group(purpose.name))
    # Inline in the role, so that neither function nor event source can exist before the permissions.
    role = iam.Role(
        scope,
        f"{id}Role",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
        description=f"What {purpose.name} may do",
        inline_policies=_policies(purpose, group, plan),
    )
    created = lambda_.Function(
        scope,
        id,
        function_name=purpose.name,
        description=purpose.about,
        runtime=RUNTIME,
        architecture=ARCHITECTURES[plan.settings.architecture],
        handler=purpose.handler,
        code=code,
        layers=list(purpose.layers),
        memory_size=purpose.memory_mb,
        timeout=Duration.seconds(purpose.timeout_s),
        role=role,
        log_group=group,
        environment=dict(purpose.environment),
        environment_encryption=key,
        reserved_concurrent_executions=purpose.reserved_concurrency,
        ephemeral_storage_size=Size.mebibytes(purpose.ephemeral_storage_mb) if purpose.ephemeral_storage_mb else None,
        recursive_loop=lambda_.RecursiveLoop.TERMINATE,
        snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if plan.snap_started else None,
        # A rollback needs the old versions; deploys delete those of older releases, and Lambda all with the function.
        # One that a failed update has published goes: Lambda publishes no second version of the same code, and the
        # next try would fail.
        current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE),
    )
    # Set below the L2 construct, which would give the role wider permissions for each.
    resource = cast("lambda_.CfnFunction", created.node.default_child)
    # Lambda's own rate, where no caller has decided, cannot be set: one a second and 5 % of the others.
    mode = "Active" if plan.traced else "PassThrough"
    resource.tracing_config = lambda_.CfnFunction.TracingConfigProperty(mode=mode)
    if purpose.vpc is not None:
        resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=list(purpose.vpc.subnets), security_group_ids=list(purpose.vpc.security_groups)
        )
    return created


def _policies(purpose: Purpose, group: logs.LogGroup, plan: Plan) -> dict[str, iam.PolicyDocument]:
    """The role's inline policies by name: what rtp needs, and apart from it what rtp.toml allows."""
    needed = [*purpose.statements, *_telemetry(group), *(_network(purpose, plan) if purpose.vpc else ())]
    policies = {"function": iam.PolicyDocument(statements=needed)}
    if purpose.own:
        policies["own"] = iam.PolicyDocument(statements=list(purpose.own))
    return policies


def _network(purpose: Purpose, plan: Plan) -> list[iam.PolicyStatement]:
    """What Lambda itself does with the role to attach the function to a VPC, and the function's code must not do."""
    actions = [
        "ec2:CreateNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:DeleteNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
    ]
    return [
        # Lambda refuses a function whose role does not allow them on every resource.
        iam.PolicyStatement(sid="Network", actions=actions, resources=["*"]),
        iam.PolicyStatement(
            sid="NoNetworkFromCode",
            effect=iam.Effect.DENY,
            actions=actions,
            resources=["*"],
            conditions={"ArnEquals": {"lambda:SourceFunctionArn": plan.arn("lambda", f"function:{purpose.name}")}},
        ),
    ]


def _telemetry(group: logs.LogGroup) -> list[iam.PolicyStatement]:
    return [
        iam.PolicyStatement(
            sid="Logs", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[group.log_group_arn]
        ),
        # X-Ray has no resource-level permissions.
        iam.PolicyStatement(
            sid="Traces", actions=["xray:PutTraceSegments", "xray:PutTelemetryRecords"], resources=["*"]
        ),
    ]
