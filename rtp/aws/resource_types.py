"""CloudFormation types and the facts about each: those of rtp's templates, and those that an extension may add.

This module and added_types are the only place that names them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import added_types, lookups
from rtp.contract import EMPTIER_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws.lookups import Lookup

ALARM = "AWS::CloudWatch::Alarm"
API = "AWS::ApiGateway::RestApi"
API_KEY = "AWS::ApiGateway::ApiKey"
BUCKET = "AWS::S3::Bucket"
BUCKET_POLICY = "AWS::S3::BucketPolicy"
DASHBOARD = "AWS::CloudWatch::Dashboard"
EVENT_SOURCE = "AWS::Lambda::EventSourceMapping"
FUNCTION = "AWS::Lambda::Function"
KEY = "AWS::KMS::Key"
KEY_ALIAS = "AWS::KMS::Alias"
LOG_GROUP = "AWS::Logs::LogGroup"
PERMISSION = "AWS::Lambda::Permission"
QUEUE = "AWS::SQS::Queue"
STAGE = "AWS::ApiGateway::Stage"
TABLE = "AWS::DynamoDB::Table"
TOPIC = "AWS::SNS::Topic"
USAGE_PLAN = "AWS::ApiGateway::UsagePlan"
VERSION = "AWS::Lambda::Version"
_ROLE = "AWS::IAM::Role"
_CODEDEPLOY = "AWS::CodeDeploy::Application"

_ENCRYPTION = "changes the encryption"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One type. name: for people.

    lookup: how its own service says whether one exists; None where it comes and goes with a resource of type `part_of`.
    arn: pattern of `service:resource` in its ARN; its group is the physical id, which is the whole ARN without a group.
    holds_data: what it contains is lost when it is deleted or replaced.
    kept_with_data: `--keep-data` keeps it: data, the key that encrypts it, what protects it, and what would delete it.
    emptied_first: CloudFormation does not delete one that is not empty.
    has_protection: its service does not delete one that is protected by a setting of its own.
    recreated: its service creates it again when something is written to it after its deletion.
    guards: property -> what its loss or change means for the security of the resource.
    guard: what the loss of the whole resource means for the security of another one; empty for no such meaning.
    """

    type: str
    name: str
    lookup: Lookup | None = None
    part_of: str = ""
    arn: str = ""
    holds_data: bool = False
    kept_with_data: bool = False
    emptied_first: bool = False
    has_protection: bool = False
    recreated: bool = False
    guards: Mapping[str, str] = field(default_factory=dict)
    guard: str = ""

    @property
    def calls_function(self) -> bool:
        """Whether CloudFormation calls a Lambda function when such a resource is removed or replaced."""
        return self.type.startswith("Custom::") or self.type == "AWS::CloudFormation::CustomResource"


def of(resource_type: str) -> ResourceType:
    """The facts about a type. Of one that is not known, it has the name only."""
    known = STACK if resource_type == STACK.type else TYPES.get(resource_type) or ADDED.get(resource_type)
    return known or ResourceType(resource_type, resource_type)


def is_known(resource_type: str) -> bool:
    """Whether it is known if resources of this type hold data. A custom resource is what its function makes of it."""
    return of(resource_type).name != resource_type or of(resource_type).calls_function


def of_arn(arn: str) -> tuple[ResourceType, str] | None:
    """The type and the physical id of what an ARN names, or of the resource that it is part of; None where unknown."""
    _, _, service, _, _, resource = arn.split(":", 5)
    for known in (*TYPES.values(), *ADDED.values(), STACK):
        match = re.fullmatch(known.arn, f"{service}:{resource}") if known.arn else None
        if match is not None:
            return known, match[1] if match.groups() else arn
    return None


TYPES = {
    entry.type: entry
    for entry in (
        ResourceType(
            API_KEY,
            "API key",
            lookups.by("apigateway", "get_api_key", "apiKey"),
            arn=r"apigateway:/apikeys/([^/]+)",
        ),
        ResourceType("AWS::ApiGateway::Deployment", "API deployment", part_of=API),
        ResourceType("AWS::ApiGateway::GatewayResponse", "API response", part_of=API),
        ResourceType(
            "AWS::ApiGateway::Method",
            "API method",
            part_of=API,
            guards={
                "ApiKeyRequired": "no longer requires an API key",
                "AuthorizationType": "changes who may call",
            },
        ),
        ResourceType("AWS::ApiGateway::Model", "API model", part_of=API),
        ResourceType("AWS::ApiGateway::RequestValidator", "API validator", part_of=API),
        ResourceType("AWS::ApiGateway::Resource", "API path", part_of=API),
        ResourceType(
            API,
            "REST API",
            lookups.by("apigateway", "get_rest_api", "restApiId"),
            arn=r"apigateway:/restapis/([^/]+)(?:/.*)?",
        ),
        ResourceType(
            "AWS::WAFv2::WebACLAssociation",
            "web ACL association",
            part_of=API,
            guards={"WebACLArn": "changes the web ACL"},
            guard="removes the web ACL",
        ),
        ResourceType(STAGE, "API stage", part_of=API),
        ResourceType(
            USAGE_PLAN,
            "usage plan",
            lookups.by("apigateway", "get_usage_plan", "usagePlanId"),
            arn=r"apigateway:/usageplans/([^/]+)",
        ),
        ResourceType("AWS::ApiGateway::UsagePlanKey", "usage plan key", part_of=USAGE_PLAN),
        ResourceType(ALARM, "alarm", lookups.alarm, arn=r"cloudwatch:alarm:(.+)"),
        ResourceType(
            DASHBOARD,
            "dashboard",
            lookups.by("cloudwatch", "get_dashboard", "DashboardName"),
            arn=r"cloudwatch:dashboard/(.+)",
        ),
        ResourceType(
            _CODEDEPLOY,
            "CodeDeploy application",
            lookups.by("codedeploy", "get_application", "applicationName"),
            arn=r"codedeploy:(?:application|deploymentgroup):([^/]+)(?:/.*)?",
        ),
        ResourceType("AWS::CodeDeploy::DeploymentGroup", "CodeDeploy group", part_of=_CODEDEPLOY),
        ResourceType(
            TABLE,
            "table",
            lookups.by("dynamodb", "describe_table", "TableName"),
            arn=r"dynamodb:table/([^/]+)(?:/.*)?",
            holds_data=True,
            kept_with_data=True,
            has_protection=True,
            guards={
                "SSESpecification": _ENCRYPTION,
                "DeletionProtectionEnabled": "lifts the protection from deletion",
            },
        ),
        ResourceType(_ROLE, "role", lookups.by("iam", "get_role", "RoleName"), arn=r"iam:role/(?:.*/)?([^/]+)"),
        ResourceType(KEY_ALIAS, "key alias", lookups.by("kms", "describe_key", "KeyId"), kept_with_data=True),
        ResourceType(
            KEY,
            "key",
            lookups.key,
            arn=r"kms:key/(.+)",
            holds_data=True,
            kept_with_data=True,
            guards={"EnableKeyRotation": "stops the key's rotation"},
        ),
        ResourceType("AWS::Lambda::Alias", "function alias", part_of=FUNCTION),
        ResourceType("AWS::Lambda::EventInvokeConfig", "function setting", part_of=FUNCTION),
        ResourceType(
            EVENT_SOURCE,
            "event source",
            lookups.by("lambda", "get_event_source_mapping", "UUID"),
            arn=r"lambda:event-source-mapping:(.+)",
        ),
        ResourceType(
            FUNCTION,
            "function",
            lookups.by("lambda", "get_function_configuration", "FunctionName"),
            arn=r"lambda:function:([^:]+)(?::.*)?",
            guards={"KmsKeyArn": "changes the encryption of the variables"},
        ),
        ResourceType(
            "AWS::Lambda::LayerVersion",
            "layer",
            lookups.by("lambda", "get_layer_version_by_arn", "Arn"),
            arn=r"lambda:layer:.+",
        ),
        ResourceType(PERMISSION, "permission", part_of=FUNCTION),
        ResourceType(VERSION, "function version", part_of=FUNCTION),
        ResourceType(
            LOG_GROUP,
            "log group",
            lookups.log_group,
            arn=r"logs:log-group:([^:]+)(?::.*)?",
            holds_data=True,
            recreated=True,
            guards={"KmsKeyId": _ENCRYPTION},
        ),
        ResourceType(
            BUCKET,
            "bucket",
            lookups.by("s3", "head_bucket", "Bucket"),
            arn=r"s3:([^/]+)",
            holds_data=True,
            kept_with_data=True,
            emptied_first=True,
            guards={
                "PublicAccessBlockConfiguration": "changes the block of public access",
                "BucketEncryption": _ENCRYPTION,
            },
        ),
        ResourceType(BUCKET_POLICY, "bucket policy", part_of=BUCKET, kept_with_data=True),
        ResourceType("AWS::SNS::Subscription", "subscription", part_of=TOPIC),
        ResourceType(
            TOPIC,
            "topic",
            lookups.by("sns", "get_topic_attributes", "TopicArn"),
            arn=r"sns:[^:]+",
            guards={"KmsMasterKeyId": _ENCRYPTION},
        ),
        ResourceType("AWS::SNS::TopicPolicy", "topic policy", part_of=TOPIC),
        ResourceType(
            QUEUE,
            "queue",
            lookups.queue,
            arn=r"sqs:[^:]+",
            holds_data=True,
            guards={"KmsMasterKeyId": _ENCRYPTION},
        ),
        ResourceType("AWS::SQS::QueuePolicy", "queue policy", part_of=QUEUE),
        ResourceType("AWS::XRay::SamplingRule", "sampling rule", lookups.sampling_rule, arn=r"xray:sampling-rule/(.+)"),
        ResourceType(EMPTIER_TYPE, "bucket emptying", part_of=FUNCTION, kept_with_data=True),
    )
}
_RULE = "AWS::Events::Rule"
_PARTS = {"AWS::IAM::Policy": _ROLE, "AWS::Lambda::Url": FUNCTION, "Custom::S3BucketNotifications": BUCKET}
ADDED = {
    entry.type: entry
    for entry in (
        *(ResourceType(t, name, holds_data=True, kept_with_data=True) for t, name in added_types.DATA.items()),
        *(ResourceType(t, name, part_of=_PARTS.get(t, "")) for t, name in added_types.OTHERS.items()),
        ResourceType(_RULE, "event rule", lookups.event_rule, arn=r"events:rule/(.+)"),
    )
}
"""Types that `[infra] extend` may add."""
STACK = ResourceType("AWS::CloudFormation::Stack", "stack", lookups.stack, arn=r"cloudformation:stack/.*")
