"""The CloudFormation types that rtp's templates use, and the facts about each. The only place that names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.aws import lookups
from rtp.contract import EMPTIER_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws.lookups import Lookup

BUCKET = "AWS::S3::Bucket"
EVENT_SOURCE = "AWS::Lambda::EventSourceMapping"
FUNCTION = "AWS::Lambda::Function"
KEY = "AWS::KMS::Key"
LOG_GROUP = "AWS::Logs::LogGroup"
PERMISSION = "AWS::Lambda::Permission"
QUEUE = "AWS::SQS::Queue"
TABLE = "AWS::DynamoDB::Table"
VERSION = "AWS::Lambda::Version"
_API, _USAGE_PLAN, _TOPIC = "AWS::ApiGateway::RestApi", "AWS::ApiGateway::UsagePlan", "AWS::SNS::Topic"
_CODEDEPLOY = "AWS::CodeDeploy::Application"

_ENCRYPTION = "changes the encryption"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One type. name: for people.

    lookup: how its own service says whether one exists; None where it comes and goes with a resource of type `part_of`.
    holds_data: what it contains is lost when it is deleted or replaced.
    kept_with_data: `--keep-data` keeps it: data, the key that encrypts it, what protects it, and what would delete it.
    emptied_first: CloudFormation does not delete one that is not empty.
    has_protection: its service does not delete one that is protected by a setting of its own.
    recreated: its service creates it again when something is written to it after its deletion.
    guards: property -> what its loss or change means for the security of the resource.
    """

    type: str
    name: str
    lookup: Lookup | None = None
    part_of: str = ""
    holds_data: bool = False
    kept_with_data: bool = False
    emptied_first: bool = False
    has_protection: bool = False
    recreated: bool = False
    guards: Mapping[str, str] = field(default_factory=dict)

    @property
    def calls_function(self) -> bool:
        """Whether CloudFormation calls a Lambda function when such a resource is removed or replaced."""
        return self.type.startswith("Custom::") or self.type == "AWS::CloudFormation::CustomResource"

    @property
    def service(self) -> str:
        """The service, as the third part of an ARN names it."""
        return self.type.split("::")[1].lower()


def of(resource_type: str) -> ResourceType:
    """The facts about a type. Of a type that no template of rtp uses, it has the name only."""
    return TYPES.get(resource_type) or ResourceType(resource_type, resource_type)


def of_kept_data(arn: str) -> ResourceType | None:
    """The type of the resource of an ARN, where it is data that `--keep-data` keeps; otherwise None."""
    return _KEPT_DATA.get(arn.split(":")[2])


TYPES = {
    entry.type: entry
    for entry in (
        ResourceType("AWS::ApiGateway::ApiKey", "API key", lookups.by("apigateway", "get_api_key", "apiKey")),
        ResourceType("AWS::ApiGateway::Deployment", "API deployment", part_of=_API),
        ResourceType("AWS::ApiGateway::GatewayResponse", "API response", part_of=_API),
        ResourceType(
            "AWS::ApiGateway::Method",
            "API method",
            part_of=_API,
            guards={
                "ApiKeyRequired": "no longer requires an API key",
                "AuthorizationType": "changes who may call",
            },
        ),
        ResourceType("AWS::ApiGateway::Model", "API model", part_of=_API),
        ResourceType("AWS::ApiGateway::RequestValidator", "API validator", part_of=_API),
        ResourceType("AWS::ApiGateway::Resource", "API path", part_of=_API),
        ResourceType(_API, "REST API", lookups.by("apigateway", "get_rest_api", "restApiId")),
        ResourceType("AWS::ApiGateway::Stage", "API stage", part_of=_API),
        ResourceType(_USAGE_PLAN, "usage plan", lookups.by("apigateway", "get_usage_plan", "usagePlanId")),
        ResourceType("AWS::ApiGateway::UsagePlanKey", "usage plan key", part_of=_USAGE_PLAN),
        ResourceType("AWS::CloudWatch::Alarm", "alarm", lookups.alarm),
        ResourceType(
            "AWS::CloudWatch::Dashboard", "dashboard", lookups.by("cloudwatch", "get_dashboard", "DashboardName")
        ),
        ResourceType(
            _CODEDEPLOY, "CodeDeploy application", lookups.by("codedeploy", "get_application", "applicationName")
        ),
        ResourceType("AWS::CodeDeploy::DeploymentGroup", "CodeDeploy group", part_of=_CODEDEPLOY),
        ResourceType(
            TABLE,
            "table",
            lookups.by("dynamodb", "describe_table", "TableName"),
            holds_data=True,
            kept_with_data=True,
            has_protection=True,
            guards={
                "SSESpecification": _ENCRYPTION,
                "DeletionProtectionEnabled": "lifts the protection from deletion",
            },
        ),
        ResourceType("AWS::IAM::Role", "role", lookups.by("iam", "get_role", "RoleName")),
        ResourceType("AWS::KMS::Alias", "key alias", part_of=KEY, kept_with_data=True),
        ResourceType(
            KEY,
            "key",
            lookups.key,
            holds_data=True,
            kept_with_data=True,
            guards={"EnableKeyRotation": "stops the key's rotation"},
        ),
        ResourceType("AWS::Lambda::Alias", "function alias", part_of=FUNCTION),
        ResourceType("AWS::Lambda::EventInvokeConfig", "function setting", part_of=FUNCTION),
        ResourceType(EVENT_SOURCE, "event source", lookups.by("lambda", "get_event_source_mapping", "UUID")),
        ResourceType(
            FUNCTION,
            "function",
            lookups.by("lambda", "get_function_configuration", "FunctionName"),
            guards={"KmsKeyArn": "changes the encryption of the variables"},
        ),
        ResourceType("AWS::Lambda::LayerVersion", "layer", lookups.by("lambda", "get_layer_version_by_arn", "Arn")),
        ResourceType(PERMISSION, "permission", part_of=FUNCTION),
        ResourceType(VERSION, "function version", part_of=FUNCTION),
        ResourceType(
            LOG_GROUP,
            "log group",
            lookups.log_group,
            holds_data=True,
            recreated=True,
            guards={"KmsKeyId": _ENCRYPTION},
        ),
        ResourceType(
            BUCKET,
            "bucket",
            lookups.by("s3", "head_bucket", "Bucket"),
            holds_data=True,
            kept_with_data=True,
            emptied_first=True,
            guards={
                "PublicAccessBlockConfiguration": "changes the block of public access",
                "BucketEncryption": _ENCRYPTION,
            },
        ),
        ResourceType("AWS::S3::BucketPolicy", "bucket policy", part_of=BUCKET, kept_with_data=True),
        ResourceType("AWS::SNS::Subscription", "subscription", part_of=_TOPIC),
        ResourceType(
            _TOPIC,
            "topic",
            lookups.by("sns", "get_topic_attributes", "TopicArn"),
            guards={"KmsMasterKeyId": _ENCRYPTION},
        ),
        ResourceType("AWS::SNS::TopicPolicy", "topic policy", part_of=_TOPIC),
        ResourceType(
            QUEUE,
            "queue",
            lookups.by("sqs", "get_queue_attributes", "QueueUrl"),
            holds_data=True,
            guards={"KmsMasterKeyId": _ENCRYPTION},
        ),
        ResourceType("AWS::SQS::QueuePolicy", "queue policy", part_of=QUEUE),
        ResourceType("AWS::XRay::SamplingRule", "sampling rule", lookups.sampling_rule),
        ResourceType(EMPTIER_TYPE, "bucket emptying", part_of=FUNCTION, kept_with_data=True),
    )
}
_KEPT_DATA = {entry.service: entry for entry in TYPES.values() if entry.holds_data and entry.kept_with_data}
