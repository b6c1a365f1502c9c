"""Permissions, encryption and secrets: exact statements, customer keys, TLS, no secrets in outputs, tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rtp.contract import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Template

    Rule = Callable[[Template], bool]
    Change = Callable[[Template], object]

TAGGED = (
    *("KMS::Key", "S3::Bucket", "DynamoDB::Table", "SQS::Queue", "SNS::Topic", "Logs::LogGroup", "IAM::Role"),
    *("Lambda::Function", "Lambda::EventSourceMapping", "CloudWatch::Alarm"),
    *("ApiGateway::RestApi", "ApiGateway::Stage", "ApiGateway::ApiKey", "ApiGateway::UsagePlan"),
)

_FUNCTION = {
    "Records": (["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:GetItem"], ["Table"]),
    "Archive": (["s3:PutObject"], ["Bucket/raw/*", "Bucket/processed/*"]),
    "Send": (["sqs:SendMessage"], ["Queue", "DeadLetterQueue"]),
    "Key": (["kms:Decrypt", "kms:GenerateDataKey"], ["Key"]),
    "Logs": (["logs:CreateLogStream", "logs:PutLogEvents"], ["{}Logs"]),
    "Traces": (["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"]),
}
_NETWORK = [f"ec2:{a}" for a in ("CreateNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets")] + [
    f"ec2:{a}" for a in ("DeleteNetworkInterface", "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses")
]
# What a function has besides, by a condition on the plan.
_IN_VPC = {"Network": (_NETWORK, ["*"]), "not NoNetworkFromCode": (_NETWORK, ["*"])}
_RECEIVE = (
    ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"],
    ["Queue"],
)
FUNCTIONS = ("Processor", "Worker")
SECRETS = {  # of the functions in the environment that declares some
    "Parameters": (["ssm:GetParameter"], ["arn:aws:ssm:us-east-1:111122223333:parameter/acme/odd/TOKEN"]),
    "Secrets": (
        ["secretsmanager:GetSecretValue"],
        ["arn:aws:secretsmanager:us-east-1:111122223333:secret:team/db-??????"],
    ),
    "SecretsKey": (["kms:Decrypt"], ["arn:aws:kms:us-east-1:111122223333:key/*"]),
}
# Role -> its exact permissions.
ROLES: dict[str, dict[str, tuple[list[str], list[str]]]] = {
    "Processor": {**_FUNCTION, "KeptResults": (["s3:GetObject"], ["Bucket/processed/*"])},
    "Worker": {
        **_FUNCTION,
        "Records": ([*_FUNCTION["Records"][0][:2], "dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate"], ["Table"]),
        "Receive": _RECEIVE,
    },
    "ToQueue": {"Send": (["sqs:SendMessage"], ["Queue"]), "Key": _FUNCTION["Key"]},
    "Emptier": {
        "Status": (["cloudformation:DescribeStacks"], ["AWS::StackId"]),
        "Tags": (["s3:GetBucketTagging"], ["Bucket", "AccessLogs"]),
        "List": (["s3:ListBucketVersions"], ["Bucket", "AccessLogs"]),
        "Empty": (["s3:DeleteObject", "s3:DeleteObjectVersion"], ["Bucket/*", "AccessLogs/*"]),
        "Logs": _FUNCTION["Logs"],
        "Traces": _FUNCTION["Traces"],
    },
    "Function": {  # the notifier's
        "Stream": (
            [f"dynamodb:{a}" for a in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")],
            ["Table"],  # its stream
        ),
        "Groups": (["dynamodb:GetItem", "dynamodb:PutItem"], ["Table"]),
        "Key": _FUNCTION["Key"],
        "Publish": (["sns:Publish"], ["Topic"]),
        "Parameters": (
            ["ssm:GetParameter"],
            ["arn:aws:ssm:eu-west-1:111122223333:parameter/realtime-processor/dev/CHAT"],
        ),
        "Logs": (_FUNCTION["Logs"][0], ["FunctionLogs"]),
        "Traces": _FUNCTION["Traces"],
    },
    "": {  # CodeDeploy's
        "Shift": (
            ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"],
            ["Processor", "Processor:*", "Worker", "Worker:*"],
        ),
        "Alarms": (["cloudwatch:DescribeAlarms"], ["*"]),
    },
}


def roles_have_exactly_their_permissions(t: Template) -> bool:
    """A1, B20: each role has exactly these statements: no managed policy and no separate policy."""
    names = {"Processor", "Worker", "ToQueue"} | ({"Emptier"} if t.plan.emptied else set())
    names |= {""} if t.plan.shifted else set()
    names |= {"Function"} if t.plan.notified else set()
    given = {f"Own{n}": (list(p.actions), list(p.resources)) for n, p in enumerate(t.plan.settings.permissions, 1)}
    extra = {name: (_IN_VPC if t.plan.vpc else {}) | given for name in ("Processor", "Worker")}
    actual = {_short(id).removesuffix("Role"): _statements(role) for id, role in t.of("IAM::Role").items()}
    secrets = SECRETS if t.plan.settings.function_secrets else {}
    return (
        not t.of("IAM::Policy")
        and not any("ManagedPolicyArns" in role for role in t.of("IAM::Role").values())
        and actual
        == {
            name: {
                sid: (actions, [r.format(name) for r in resources])
                for sid, (actions, resources) in (
                    ROLES[name] | (secrets if name in FUNCTIONS else {}) | extra.get(name, {})
                ).items()
            }
            for name in names
        }
    )


def roles_are_for_one_service(t: Template) -> bool:
    """Only one service may assume a role."""
    services = {
        "Processor": "lambda",
        "Worker": "lambda",
        "Emptier": "lambda",
        "Function": "lambda",
        "ToQueue": "apigateway",
        "": "codedeploy",
    }
    return all(
        [s["Principal"] for s in role["AssumeRolePolicyDocument"]["Statement"]]
        == [{"Service": f"{services[_short(id).removesuffix('Role')]}.amazonaws.com"}]
        for id, role in t.of("IAM::Role").items()
    )


def data_is_under_the_key(t: Template) -> bool:
    """A1: customer key wherever the service allows it. S3 delivers access logs only to a bucket without one."""
    key = t.id("KMS::Key")
    arn = {"Fn::GetAtt": [key, "Arn"]}
    (rule,) = t.bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    return (
        t.one("KMS::Key")["EnableKeyRotation"] is True
        and rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn}
        and rule["BucketKeyEnabled"] is True
        and t.one("DynamoDB::Table")["SSESpecification"]
        == {"KMSMasterKeyId": arn, "SSEEnabled": True, "SSEType": "KMS"}
        and all(queue["KmsMasterKeyId"] == arn for queue in t.of("SQS::Queue").values())
        and t.one("SNS::Topic")["KmsMasterKeyId"] == arn
        and all(group["KmsKeyId"] == arn for group in t.of("Logs::LogGroup").values())
        and all(function["KmsKeyArn"] == arn for function in t.of("Lambda::Function").values())
    )


def log_groups_may_use_the_key(t: Template) -> bool:
    """B20: CloudWatch Logs of this region, for this stack's groups alone."""
    (statement,) = (
        s
        for s in t.one("KMS::Key")["KeyPolicy"]["Statement"]
        if s["Principal"] == {"Service": f"logs.{t.plan.region}.amazonaws.com"}
    )
    contexts = statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    prefix = f"arn:aws:logs:{t.plan.region}:{t.plan.account}:log-group:"
    return all(context.startswith(prefix) and context != f"{prefix}*" for context in contexts) and all(
        any(_named(group).startswith(context.removeprefix(prefix).removesuffix("*")) for context in contexts)
        for group in t.of("Logs::LogGroup").values()
    )


def everything_requires_tls(t: Template) -> bool:
    """A1: buckets, queues and the topic refuse requests without TLS."""
    guarded = {
        json.dumps(one, sort_keys=True)
        for kind, place in (
            ("S3::BucketPolicy", "Bucket"),
            ("SQS::QueuePolicy", "Queues"),
            ("SNS::TopicPolicy", "Topics"),
        )
        for policy in t.of(kind).values()
        for one in ([policy[place]] if place == "Bucket" else policy[place])
        if any(
            s["Effect"] == "Deny" and s.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
            for s in policy["PolicyDocument"]["Statement"]
        )
    }
    kinds = ("S3::Bucket", "SQS::Queue", "SNS::Topic")
    return guarded == {json.dumps({"Ref": id}) for kind in kinds for id in t.of(kind)}


def buckets_are_private(t: Template) -> bool:
    """A1: no public access, no ACLs, versions kept, access logged."""
    blocked = dict.fromkeys(("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True)
    return (
        all(
            bucket["PublicAccessBlockConfiguration"] == blocked
            and bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
            and bucket["VersioningConfiguration"] == {"Status": "Enabled"}
            for bucket in t.of("S3::Bucket").values()
        )
        and "LoggingConfiguration" in t.bucket
    )


def outputs_have_no_secret(t: Template) -> bool:
    """D8: exactly what the contract has; of the API key its id, since a value never gets into a template."""
    outputs = t.body["Outputs"]
    key = t.id("ApiGateway::ApiKey")
    values = t.one("ApiGateway::ApiKey").get("Value")
    return (
        set(outputs) == {str(name) for name in Output}
        and outputs["ApiKeyId"]["Value"] == {"Ref": key}
        and values is None
        and not any("NoEcho" in p for p in t.body.get("Parameters", {}).values())
    )


def everything_is_tagged(t: Template) -> bool:
    """Environment, Project, ManagedBy and Owner on every resource that has tags."""
    return all(
        t.plan.tags.items() <= {tag["Key"]: tag["Value"] for tag in properties.get("Tags", ())}.items()
        for kind in TAGGED
        for properties in t.of(kind).values()
    )


def _short(id: str) -> str:
    """Return the construct's name in a logical id: `Bucket` for `StorageBucket5CB7C8EA`."""
    name = id[:-8]
    for construct in ("Storage", "Processing", "Ingest", "Cleanup", "Rollout", "Monitoring", "Notifier"):
        name = name.removeprefix(construct)
    return name


def _statements(role: dict[str, Any]) -> dict[str, tuple[list[str], list[str]]]:
    """Return sid -> (actions, resources by their constructs' names) of a role's policies."""
    statements = {}
    for policy in role["Policies"]:
        for s in policy["PolicyDocument"]["Statement"]:
            sid = s["Sid"] if s["Effect"] == "Allow" else f"not {s['Sid']}"
            statements[sid] = (_list(s["Action"]), [_resource(r) for r in _list(s["Resource"])])
    return statements


def _resource(value: Any) -> str:
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return str(value["Ref"]) if value["Ref"].startswith("AWS::") else _short(value["Ref"])
    if "Fn::GetAtt" in value:
        return _short(value["Fn::GetAtt"][0])
    return "".join(_resource(part) for part in value["Fn::Join"][1])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _named(group: dict[str, Any]) -> str:
    name = group["LogGroupName"]
    return name if isinstance(name, str) else "".join(p for p in name["Fn::Join"][1] if isinstance(p, str))


def _role(t: Template, name: str) -> dict[str, Any]:
    return next(role for id, role in t.of("IAM::Role").items() if _short(id) == f"{name}Role")


def _policy(t: Template, name: str) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = _role(t, name)["Policies"][0]["PolicyDocument"]["Statement"]
    return statements


def _first(t: Template, kind: str) -> dict[str, Any]:
    return next(iter(t.of(kind).values()))


def _key_policy(t: Template) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = t.one("KMS::Key")["KeyPolicy"]["Statement"]
    return statements


def _forget_tag(properties: dict[str, Any], key: str) -> None:
    properties["Tags"] = [tag for tag in properties["Tags"] if tag["Key"] != key]


def _clear(t: Template, kind: str) -> None:
    for policy in t.of(kind).values():
        statements = policy["PolicyDocument"]["Statement"]
        statements[:] = [s for s in statements if s["Effect"] != "Deny"]


def test_the_key_of_secrets_is_used_through_their_services_alone(odd: Template) -> None:
    statement = next(s for s in _policy(odd, "Worker") if s["Sid"] == "SecretsKey")
    assert statement["Condition"] == {
        "StringEquals": {"kms:ViaService": ["secretsmanager.us-east-1.amazonaws.com", "ssm.us-east-1.amazonaws.com"]},
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/team"},
    }


MUTANTS: list[tuple[Rule, Change]] = [
    (roles_have_exactly_their_permissions, lambda t: _policy(t, "Worker")[0]["Action"].append("dynamodb:DeleteItem")),
    (roles_have_exactly_their_permissions, lambda t: _policy(t, "Worker")[0].update(Resource="*")),
    (roles_have_exactly_their_permissions, lambda t: _policy(t, "ToQueue").pop()),
    (roles_have_exactly_their_permissions, lambda t: _role(t, "Processor").update(ManagedPolicyArns=["arn"])),
    (roles_have_exactly_their_permissions, lambda t: t.body["Resources"].update(P={"Type": "AWS::IAM::Policy"})),
    (
        roles_are_for_one_service,
        lambda t: _role(t, "Worker")["AssumeRolePolicyDocument"]["Statement"][0].update(Principal={"AWS": "*"}),
    ),
    (data_is_under_the_key, lambda t: t.bucket.pop("BucketEncryption")),
    (data_is_under_the_key, lambda t: t.queue.pop("KmsMasterKeyId")),
    (data_is_under_the_key, lambda t: t.one("DynamoDB::Table").pop("SSESpecification")),
    (data_is_under_the_key, lambda t: t.one("SNS::Topic").update(KmsMasterKeyId="alias/aws/sns")),
    (data_is_under_the_key, lambda t: _first(t, "Logs::LogGroup").pop("KmsKeyId")),
    (data_is_under_the_key, lambda t: t.worker.pop("KmsKeyArn")),
    (data_is_under_the_key, lambda t: t.one("KMS::Key").update(EnableKeyRotation=False)),
    (log_groups_may_use_the_key, lambda t: _key_policy(t).pop()),
    (log_groups_may_use_the_key, lambda t: _key_policy(t)[-1].pop("Condition")),
    (log_groups_may_use_the_key, lambda t: _first(t, "Logs::LogGroup").update(LogGroupName="/elsewhere")),
    (everything_requires_tls, lambda t: _clear(t, "SQS::QueuePolicy")),
    (everything_requires_tls, lambda t: _clear(t, "S3::BucketPolicy")),
    (everything_requires_tls, lambda t: _clear(t, "SNS::TopicPolicy")),
    (buckets_are_private, lambda t: t.bucket["PublicAccessBlockConfiguration"].update(BlockPublicAcls=False)),
    (buckets_are_private, lambda t: t.bucket.pop("LoggingConfiguration")),
    (buckets_are_private, lambda t: t.bucket.pop("VersioningConfiguration")),
    (outputs_have_no_secret, lambda t: t.body["Outputs"].update(ApiKey={"Value": "k"})),
    (outputs_have_no_secret, lambda t: t.one("ApiGateway::ApiKey").update(Value="k")),
    (outputs_have_no_secret, lambda t: t.body["Outputs"].pop("QueueUrl")),
    (everything_is_tagged, lambda t: _first(t, "CloudWatch::Alarm").pop("Tags")),
    (everything_is_tagged, lambda t: _forget_tag(t.bucket, "Owner")),
]


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _ in MUTANTS), ids=lambda rule: rule.__name__)
def test_every_template_keeps(rule: Rule, template: Template) -> None:
    assert rule(template)


@pytest.mark.parametrize(("rule", "change"), MUTANTS, ids=[rule.__name__ for rule, _ in MUTANTS])
@pytest.mark.parametrize("env", ["dev", "prod"])
def test_a_mutant_is_caught_by(
    rule: Rule, env: str, change: Change, caught: Callable[[Rule, str, Change], bool]
) -> None:
    assert caught(rule, env, change)
