"""The AWS operations that the commands call, with the IAM action, the resource and the role that each needs.

The tests record what each command calls (rtp/aws/recording.py) and fail for an operation that is missing here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """Who runs commands. A later role may do all that an earlier one may."""

    READER = "reader"
    OPERATOR = "operator"
    DEPLOYER = "deployer"

    def includes(self, other: Role) -> bool:
        """Whether this role may do all that the other may."""
        order = list(Role)
        return order.index(other) <= order.index(self)


class Resource(StrEnum):
    """What an action is limited to."""

    ANY = "any"  # the action takes no resource
    ACCOUNT = "account"
    ALARMS = "alarms"
    API = "api"
    API_KEYS = "api-keys"
    API_KEY_LIST = "api-key-list"
    API_TAGS = "api-tags"
    ASSETS = "assets"  # of the CDK's bucket
    APPLICATION = "application"
    BOOTSTRAP = "bootstrap"
    BUCKET = "bucket"
    BUCKETS = "buckets"  # with the bucket of access logs, whose name CloudFormation generates, and rtp's own
    DASHBOARD = "dashboard"
    EVENT_SOURCES = "event-sources"
    FUNCTIONS = "functions"
    HISTORY = "history"  # of the environment, in rtp's own bucket
    JOURNALS = "journals"  # of the environment, in rtp's own bucket
    KEY = "key"
    LAYERS = "layers"
    LEASE = "lease"  # of deploys of the stack, in rtp's own bucket
    LOGGING_ROLE = "logging-role"  # of API Gateway, which the account's APIs share
    LOG_GROUPS = "log-groups"
    OBJECTS = "objects"
    OBJECTS_OF_BUCKETS = "objects-of-buckets"
    PARAMETERS = "parameters"  # of SSM, with the values of secrets
    QUEUES = "queues"
    QUOTAS = "quotas"  # of Service Quotas, of the services that `rtp capacity` names
    RELEASES = "releases"  # of the environment, in rtp's own bucket
    ROLES = "roles"
    RULES = "rules"  # of EventBridge, that an extension adds
    SECRETS = "secrets"  # of Secrets Manager, those that rtp.toml names
    SPANS = "spans"
    STACK = "stack"
    TABLE = "table"
    TABLE_AND_INDEXES = "table-and-indexes"
    TOPIC = "topic"
    USAGE_PLANS = "usage-plans"
    USAGE_PLAN_LIST = "usage-plan-list"


class Call(NamedTuple):
    """What one operation needs. actions: of IAM. key: actions on the stack's KMS key that come with it.

    secrets_key: actions on the KMS key of `secrets_key`, where rtp.toml names one.
    """

    role: Role
    actions: tuple[str, ...]
    resource: Resource
    key: tuple[str, ...] = ()
    secrets_key: tuple[str, ...] = ()


_READ, _OPERATE, _DEPLOY = Role
_DECRYPT, _ENCRYPT = ("kms:Decrypt",), ("kms:Decrypt", "kms:GenerateDataKey")

CALLS = {
    "apigateway:CreateApiKey": Call(_DEPLOY, ("apigateway:POST",), Resource.API_KEY_LIST),
    "apigateway:CreateUsagePlan": Call(_DEPLOY, ("apigateway:POST",), Resource.USAGE_PLAN_LIST),
    "apigateway:CreateUsagePlanKey": Call(_DEPLOY, ("apigateway:POST",), Resource.USAGE_PLANS),
    "apigateway:DeleteApiKey": Call(_DEPLOY, ("apigateway:DELETE",), Resource.API_KEYS),
    "apigateway:DeleteUsagePlan": Call(_DEPLOY, ("apigateway:DELETE",), Resource.USAGE_PLANS),
    "apigateway:GetAccount": Call(_READ, ("apigateway:GET",), Resource.ACCOUNT),
    "apigateway:GetApiKey": Call(_READ, ("apigateway:GET",), Resource.API_KEYS),
    "apigateway:GetApiKeys": Call(_READ, ("apigateway:GET",), Resource.API_KEY_LIST),
    "apigateway:GetRestApi": Call(_READ, ("apigateway:GET",), Resource.API),
    "apigateway:GetStage": Call(_READ, ("apigateway:GET",), Resource.API),
    "apigateway:GetUsage": Call(_READ, ("apigateway:GET",), Resource.USAGE_PLANS),
    "apigateway:GetUsagePlan": Call(_READ, ("apigateway:GET",), Resource.USAGE_PLANS),
    "apigateway:GetUsagePlanKeys": Call(_READ, ("apigateway:GET",), Resource.USAGE_PLANS),
    "apigateway:GetUsagePlans": Call(_READ, ("apigateway:GET",), Resource.USAGE_PLAN_LIST),
    # What creating a key or a usage plan with tags needs.
    "apigateway:TagResource": Call(_DEPLOY, ("apigateway:PUT",), Resource.API_TAGS),
    "apigateway:UpdateAccount": Call(_DEPLOY, ("apigateway:PATCH",), Resource.ACCOUNT),
    "apigateway:UpdateStage": Call(_DEPLOY, ("apigateway:PATCH",), Resource.API),
    "apigateway:UpdateUsagePlan": Call(_DEPLOY, ("apigateway:PATCH",), Resource.USAGE_PLANS),
    "cloudformation:ContinueUpdateRollback": Call(_DEPLOY, ("cloudformation:ContinueUpdateRollback",), Resource.STACK),
    # Of a rollback to a release; the change sets of a deploy are made with the CDK's roles.
    "cloudformation:CreateChangeSet": Call(_DEPLOY, ("cloudformation:CreateChangeSet",), Resource.STACK),
    "cloudformation:DeleteChangeSet": Call(_DEPLOY, ("cloudformation:DeleteChangeSet",), Resource.STACK),
    "cloudformation:DeleteStack": Call(_DEPLOY, ("cloudformation:DeleteStack",), Resource.STACK),
    "cloudformation:DescribeChangeSet": Call(_READ, ("cloudformation:DescribeChangeSet",), Resource.STACK),
    "cloudformation:DescribeEvents": Call(_READ, ("cloudformation:DescribeEvents",), Resource.STACK),
    "cloudformation:DescribeStackDriftDetectionStatus": Call(
        _READ, ("cloudformation:DescribeStackDriftDetectionStatus",), Resource.ANY
    ),
    "cloudformation:DescribeStackEvents": Call(_READ, ("cloudformation:DescribeStackEvents",), Resource.STACK),
    "cloudformation:DescribeStackResource": Call(_READ, ("cloudformation:DescribeStackResource",), Resource.STACK),
    "cloudformation:DescribeStackResourceDrifts": Call(
        _READ, ("cloudformation:DescribeStackResourceDrifts",), Resource.STACK
    ),
    "cloudformation:DescribeStacks": Call(_READ, ("cloudformation:DescribeStacks",), Resource.STACK),
    "cloudformation:DetectStackDrift": Call(
        _READ, ("cloudformation:DetectStackDrift", "cloudformation:DetectStackResourceDrift"), Resource.STACK
    ),
    "cloudformation:ExecuteChangeSet": Call(_DEPLOY, ("cloudformation:ExecuteChangeSet",), Resource.STACK),
    "cloudformation:GetTemplate": Call(_READ, ("cloudformation:GetTemplate",), Resource.STACK),
    "cloudformation:ListChangeSets": Call(_READ, ("cloudformation:ListChangeSets",), Resource.STACK),
    "cloudformation:ListStackResources": Call(_READ, ("cloudformation:ListStackResources",), Resource.STACK),
    "cloudformation:ListStacks": Call(_DEPLOY, ("cloudformation:ListStacks",), Resource.ANY),
    "cloudformation:RollbackStack": Call(_DEPLOY, ("cloudformation:RollbackStack",), Resource.STACK),
    "cloudformation:UpdateStack": Call(_DEPLOY, ("cloudformation:UpdateStack",), Resource.STACK),
    "cloudformation:UpdateTerminationProtection": Call(
        _DEPLOY, ("cloudformation:UpdateTerminationProtection",), Resource.STACK
    ),
    "cloudtrail:LookupEvents": Call(_READ, ("cloudtrail:LookupEvents",), Resource.ANY),
    "cloudwatch:DescribeAlarmHistory": Call(_READ, ("cloudwatch:DescribeAlarmHistory",), Resource.ALARMS),
    "cloudwatch:DescribeAlarms": Call(_READ, ("cloudwatch:DescribeAlarms",), Resource.ALARMS),
    "cloudwatch:GetDashboard": Call(_READ, ("cloudwatch:GetDashboard",), Resource.DASHBOARD),
    "cloudwatch:GetMetricData": Call(_READ, ("cloudwatch:GetMetricData",), Resource.ANY),
    "codedeploy:GetApplication": Call(_READ, ("codedeploy:GetApplication",), Resource.APPLICATION),
    "dynamodb:BatchExecuteStatement": Call(_OPERATE, ("dynamodb:PartiQLUpdate",), Resource.TABLE, _ENCRYPT),
    "dynamodb:BatchGetItem": Call(_READ, ("dynamodb:BatchGetItem",), Resource.TABLE, _DECRYPT),
    "dynamodb:DeleteItem": Call(_OPERATE, ("dynamodb:DeleteItem",), Resource.TABLE, _ENCRYPT),
    "dynamodb:DescribeTable": Call(_READ, ("dynamodb:DescribeTable",), Resource.TABLE),
    "dynamodb:GetItem": Call(_READ, ("dynamodb:GetItem",), Resource.TABLE, _DECRYPT),
    "dynamodb:PutItem": Call(_OPERATE, ("dynamodb:PutItem",), Resource.TABLE, _ENCRYPT),
    "dynamodb:Query": Call(_READ, ("dynamodb:Query",), Resource.TABLE_AND_INDEXES, _DECRYPT),
    "dynamodb:UpdateItem": Call(_OPERATE, ("dynamodb:UpdateItem",), Resource.TABLE, _ENCRYPT),
    "dynamodb:UpdateTable": Call(_DEPLOY, ("dynamodb:UpdateTable",), Resource.TABLE),
    "ec2:DescribeNatGateways": Call(_READ, ("ec2:DescribeNatGateways",), Resource.ANY),
    "ec2:DescribeRouteTables": Call(_READ, ("ec2:DescribeRouteTables",), Resource.ANY),
    "ec2:DescribeSecurityGroups": Call(_READ, ("ec2:DescribeSecurityGroups",), Resource.ANY),
    "ec2:DescribeSubnets": Call(_READ, ("ec2:DescribeSubnets",), Resource.ANY),
    "ec2:DescribeVpcEndpoints": Call(_READ, ("ec2:DescribeVpcEndpoints",), Resource.ANY),
    "events:DescribeRule": Call(_READ, ("events:DescribeRule",), Resource.RULES),
    "iam:AttachRolePolicy": Call(_DEPLOY, ("iam:AttachRolePolicy",), Resource.LOGGING_ROLE),
    # iam:PassRole is what UpdateAccount needs on the role that it gives to API Gateway.
    "iam:CreateRole": Call(_DEPLOY, ("iam:CreateRole", "iam:PassRole"), Resource.LOGGING_ROLE),
    "iam:GetRole": Call(_READ, ("iam:GetRole",), Resource.ROLES),
    "kms:DescribeKey": Call(_READ, (), Resource.KEY, ("kms:DescribeKey",)),
    "lambda:DeleteFunction": Call(_DEPLOY, ("lambda:DeleteFunction",), Resource.FUNCTIONS),
    "lambda:GetAccountSettings": Call(_READ, ("lambda:GetAccountSettings",), Resource.ANY),
    "lambda:GetEventSourceMapping": Call(_READ, ("lambda:GetEventSourceMapping",), Resource.EVENT_SOURCES),
    "lambda:GetFunctionConcurrency": Call(_READ, ("lambda:GetFunctionConcurrency",), Resource.FUNCTIONS),
    "lambda:GetFunctionConfiguration": Call(_READ, ("lambda:GetFunctionConfiguration",), Resource.FUNCTIONS),
    "lambda:GetLayerVersionByArn": Call(_READ, ("lambda:GetLayerVersion",), Resource.LAYERS),
    "lambda:ListAliases": Call(_READ, ("lambda:ListAliases",), Resource.FUNCTIONS),
    "lambda:ListEventSourceMappings": Call(_READ, ("lambda:ListEventSourceMappings",), Resource.ANY),
    "lambda:ListVersionsByFunction": Call(_READ, ("lambda:ListVersionsByFunction",), Resource.FUNCTIONS),
    "lambda:UpdateEventSourceMapping": Call(_DEPLOY, ("lambda:UpdateEventSourceMapping",), Resource.EVENT_SOURCES),
    "lambda:UpdateFunctionCode": Call(_DEPLOY, ("lambda:UpdateFunctionCode",), Resource.FUNCTIONS),
    "lambda:UpdateFunctionConfiguration": Call(_DEPLOY, ("lambda:UpdateFunctionConfiguration",), Resource.FUNCTIONS),
    "logs:DeleteLogGroup": Call(_DEPLOY, ("logs:DeleteLogGroup",), Resource.LOG_GROUPS),
    "logs:DescribeLogGroups": Call(_READ, ("logs:DescribeLogGroups",), Resource.ANY),
    "logs:FilterLogEvents": Call(_READ, ("logs:FilterLogEvents",), Resource.LOG_GROUPS),
    "logs:GetQueryResults": Call(_READ, ("logs:GetQueryResults",), Resource.SPANS),
    "logs:StartQuery": Call(_READ, ("logs:StartQuery",), Resource.SPANS),
    "logs:StopQuery": Call(_READ, ("logs:StopQuery",), Resource.ANY),
    "resourcegroupstaggingapi:GetResources": Call(_READ, ("tag:GetResources",), Resource.ANY),
    "s3:CopyObject": Call(_DEPLOY, ("s3:GetObject", "s3:PutObject"), Resource.ASSETS),
    # Under a condition on the ETag S3 also wants GetObject.
    "s3:DeleteObject": Call(_DEPLOY, ("s3:DeleteObject", "s3:GetObject"), Resource.LEASE),
    # An operator's delete leaves the versions, which the lifecycle of the bucket expires.
    "s3:DeleteObjects": Call(_OPERATE, ("s3:DeleteObject",), Resource.OBJECTS),
    "s3:GetBucketPolicy": Call(_DEPLOY, ("s3:GetBucketPolicy",), Resource.BUCKET),
    "s3:GetObject": Call(_READ, ("s3:GetObject",), Resource.OBJECTS, _DECRYPT),
    "s3:PutObject": Call(_OPERATE, ("s3:PutObject",), Resource.HISTORY),
    "s3:HeadBucket": Call(_READ, ("s3:ListBucket",), Resource.BUCKETS),
    "s3:ListObjectVersions": Call(_READ, ("s3:ListBucketVersions",), Resource.BUCKETS),
    "s3:ListObjectsV2": Call(_READ, ("s3:ListBucket",), Resource.BUCKET),
    "secretsmanager:CreateSecret": Call(
        _DEPLOY,
        ("secretsmanager:CreateSecret", "secretsmanager:TagResource"),
        Resource.SECRETS,
        secrets_key=_ENCRYPT,
    ),
    "secretsmanager:DeleteSecret": Call(_DEPLOY, ("secretsmanager:DeleteSecret",), Resource.SECRETS),
    "secretsmanager:DescribeSecret": Call(_READ, ("secretsmanager:DescribeSecret",), Resource.SECRETS),
    "secretsmanager:GetSecretValue": Call(
        _DEPLOY, ("secretsmanager:GetSecretValue",), Resource.SECRETS, secrets_key=_DECRYPT
    ),
    "secretsmanager:PutSecretValue": Call(
        _DEPLOY, ("secretsmanager:PutSecretValue",), Resource.SECRETS, secrets_key=_ENCRYPT
    ),
    "secretsmanager:UpdateSecretVersionStage": Call(
        _DEPLOY, ("secretsmanager:UpdateSecretVersionStage",), Resource.SECRETS
    ),
    "service-quotas:GetAWSDefaultServiceQuota": Call(_READ, ("servicequotas:GetAWSDefaultServiceQuota",), Resource.ANY),
    "service-quotas:GetServiceQuota": Call(_READ, ("servicequotas:GetServiceQuota",), Resource.QUOTAS),
    "sns:GetTopicAttributes": Call(_READ, ("sns:GetTopicAttributes",), Resource.TOPIC),
    "sqs:ChangeMessageVisibilityBatch": Call(_READ, ("sqs:ChangeMessageVisibility",), Resource.QUEUES),
    "sqs:DeleteMessageBatch": Call(_OPERATE, ("sqs:DeleteMessage",), Resource.QUEUES),
    "sqs:GetQueueAttributes": Call(_READ, ("sqs:GetQueueAttributes",), Resource.QUEUES),
    "sqs:GetQueueUrl": Call(_READ, ("sqs:GetQueueUrl",), Resource.QUEUES),
    "sqs:ReceiveMessage": Call(_READ, ("sqs:ReceiveMessage",), Resource.QUEUES, _DECRYPT),
    "sqs:SendMessageBatch": Call(_OPERATE, ("sqs:SendMessage",), Resource.QUEUES, _ENCRYPT),
    "ssm:DeleteParameter": Call(_DEPLOY, ("ssm:DeleteParameter",), Resource.PARAMETERS),
    "ssm:DescribeParameters": Call(_READ, ("ssm:DescribeParameters",), Resource.ANY),
    "ssm:GetParameter": Call(_READ, ("ssm:GetParameter",), Resource.BOOTSTRAP),
    "ssm:ListTagsForResource": Call(_READ, ("ssm:ListTagsForResource",), Resource.PARAMETERS),
    "ssm:PutParameter": Call(
        _DEPLOY,
        ("ssm:AddTagsToResource", "ssm:PutParameter"),
        Resource.PARAMETERS,
        # Encrypt for a standard parameter, GenerateDataKey for an advanced one, of more than 4 KB.
        secrets_key=("kms:Encrypt", "kms:GenerateDataKey"),
    ),
    "sts:GetCallerIdentity": Call(_READ, (), Resource.ANY),  # needs no permission
    "xray:BatchGetTraces": Call(_READ, ("xray:BatchGetTraces",), Resource.ANY),
    "xray:GetIndexingRules": Call(_READ, ("xray:GetIndexingRules",), Resource.ANY),
    "xray:GetSamplingRules": Call(_READ, ("xray:GetSamplingRules",), Resource.ANY),
    "xray:GetTraceSegmentDestination": Call(_READ, ("xray:GetTraceSegmentDestination",), Resource.ANY),
    "xray:GetTraceSummaries": Call(_READ, ("xray:GetTraceSummaries",), Resource.ANY),
}

FURTHER = (
    # Under a condition on the ETag S3 also wants GetObject.
    Call(_DEPLOY, ("s3:GetObject", "s3:PutObject"), Resource.LEASE),
    Call(_READ, ("s3:GetObject",), Resource.HISTORY),
    Call(_DEPLOY, ("s3:DeleteObject", "s3:DeleteObjectVersion"), Resource.OBJECTS_OF_BUCKETS),
    Call(_DEPLOY, ("s3:DeleteObject", "s3:GetObject", "s3:PutObject"), Resource.RELEASES),
    Call(_OPERATE, ("s3:GetObject", "s3:PutObject"), Resource.JOURNALS, _ENCRYPT),
)
"""What operations of CALLS need for resources of another kind."""

ROLES = {
    "alarms": _READ,
    "capacity": _READ,
    "diff": _READ,
    "dlq inspect": _READ,
    "doctor": _READ,
    "history": _READ,
    "history show": _READ,
    "keys list": _READ,
    "logs": _READ,
    "outputs": _READ,
    "records": _READ,
    "rehearse": _READ,
    "secrets list": _READ,
    "show": _READ,
    "status": _READ,
    "traces": _READ,
    "traces show": _READ,
    "triage": _READ,
    "triage show": _READ,
    "dlq follow": _OPERATE,
    "report": _OPERATE,
    "dlq purge": _OPERATE,
    "dlq redrive": _OPERATE,
    "dlq runs": _OPERATE,
    "dlq stop": _OPERATE,
    "dlq undo": _OPERATE,
    "drill": _OPERATE,
    "replay": _OPERATE,
    "send": _OPERATE,
    "triage ack": _OPERATE,
    "triage mute": _OPERATE,
    "triage note": _OPERATE,
    "triage reopen": _OPERATE,
    "triage resolve": _OPERATE,
    "deploy": _DEPLOY,
    "rollback": _DEPLOY,
    "destroy": _DEPLOY,
    "keys create": _DEPLOY,
    "keys revoke": _DEPLOY,
    "keys rotate": _DEPLOY,
    "secrets delete": _DEPLOY,
    "secrets set": _DEPLOY,
}
"""The least role that a command needs. `rtp bootstrap` is for an administrator; other commands do not call AWS."""
