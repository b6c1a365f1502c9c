"""The IAM policy of a role: what its commands call, limited to the resources of one environment."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rtp import contract
from rtp.aws import account as aws_account
from rtp.aws import history_objects, journal_objects, lease_objects, release_objects
from rtp.config import secret_sources
from rtp.config.secret_sources import SECRETS_MANAGER, SSM
from rtp.ops.access.calls import CALLS, FURTHER, Resource, Role

if TYPE_CHECKING:
    from rtp.config import Environment

_QUOTAS = ("apigateway", "dynamodb", "kms", "logs")


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A role's policy.

    role: reader, operator or deployer. policy: the IAM policy document, as `aws iam put-role-policy` takes it.
    """

    env: str
    role: str
    policy: dict[str, Any]


def document(role: Role, environment: Environment) -> PolicyDocument:
    """The policy with which the commands of a role work on one environment.

    Where rtp.toml has no account, the resources are those of the environment's names in any account.
    """
    return PolicyDocument(environment.name, role.value, _policy(role, environment))


def _policy(role: Role, environment: Environment) -> dict[str, Any]:
    arns = _arns(environment)
    actions: dict[tuple[str, ...], set[str]] = defaultdict(set)
    key_actions: set[str] = set()
    for call in (*CALLS.values(), *FURTHER):
        if role.includes(call.role):
            actions[arns[call.resource]].update(call.actions)
            key_actions.update(call.key)
    statements = [_statement(allowed, resources) for resources, allowed in actions.items() if allowed and resources]
    for statement in statements:
        if statement["Resource"] == list(arns[Resource.LOGGING_ROLE]):
            statement["Condition"] = _of_the_logging_role(environment)
    statements.append(_statement(key_actions, arns[Resource.KEY]) | {"Condition": _of_the_key(environment)})
    statements += _of_the_secrets_key(role, environment)
    if environment.settings.auth == contract.IAM and role.includes(Role.OPERATOR):
        statements.append(_statement({"execute-api:Invoke"}, (_api(environment),)))
    if role is Role.DEPLOYER:
        statements.append(_statement({"sts:AssumeRole"}, (_cdk_roles(environment),)))
    return {"Version": "2012-10-17", "Statement": sorted(statements, key=lambda each: str(each["Action"][0]))}


def _statement(actions: set[str], resources: tuple[str, ...]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}


def _of_the_key(environment: Environment) -> dict[str, Any]:
    return {"ForAnyValue:StringEquals": {"kms:ResourceAliases": environment.names.key_alias}}


def _of_the_secrets_key(role: Role, environment: Environment) -> list[dict[str, Any]]:
    """What encrypting secrets takes on the key of `secrets_key`; AWS's own keys need no permission."""
    settings = environment.settings
    actions = {action for call in CALLS.values() if role.includes(call.role) for action in call.secrets_key}
    if not settings.secrets or settings.secrets_key is None or not actions:
        return []
    key, region = settings.secrets_key, environment.region
    statement = _statement(actions, (secret_sources.key_arn(key, region, environment.account or "*"),))
    return [statement | {"Condition": secret_sources.key_condition(key, (SSM, SECRETS_MANAGER), region)}]


def _of_the_logging_role(environment: Environment) -> dict[str, Any]:
    """Its policy is AWS's own and its user API Gateway, where the action has such a thing."""
    policy = aws_account.api_logging_policy(environment.region)
    return {"StringEqualsIfExists": {"iam:PolicyARN": policy, "iam:PassedToService": "apigateway.amazonaws.com"}}


def _api(environment: Environment) -> str:
    """The methods of the API that a signed `rtp send` calls; API Gateway chooses the API's id."""
    account, region = environment.account or "*", environment.region
    return f"arn:{contract.partition(region)}:execute-api:{region}:{account}:*/{contract.API_STAGE}/POST/*"


def _cdk_roles(environment: Environment) -> str:
    """The roles of `cdk bootstrap`, with which the CDK CLI publishes assets and CloudFormation deploys."""
    account, region = environment.account or "*", environment.region
    return f"arn:{contract.partition(region)}:iam::{account}:role/cdk-*-{account}-{region}"


def _arns(environment: Environment) -> dict[Resource, tuple[str, ...]]:
    """The ARNs of each kind of resource. Names that AWS generates begin with the stack's name."""
    names, region, account = environment.names, environment.region, environment.account or "*"
    partition = contract.partition(region)

    def arn(service: str, resource: str, *, regional: bool = True) -> str:
        return f"arn:{partition}:{service}:{region if regional else ''}:{account}:{resource}"

    def gateway(*paths: str) -> tuple[str, ...]:
        return tuple(f"arn:{partition}:apigateway:{region}::/{path}" for path in paths)

    bucket = f"arn:{partition}:s3:::{names.bucket(account, region)}"
    buckets = f"arn:{partition}:s3:::{names.stack}-*"
    own = f"arn:{partition}:s3:::{contract.own_bucket(account, region)}"
    table = arn("dynamodb", f"table/{names.table}")
    functions = (names.processor, names.worker, names.emptier, names.notifier)
    groups = (f"/aws/lambda/{names.stack}-*", names.access_log_group)
    return {
        Resource.ANY: ("*",),
        Resource.ACCOUNT: gateway("account"),
        Resource.ALARMS: (arn("cloudwatch", f"alarm:{names.stack}-*"),),
        Resource.API: gateway("restapis/*"),
        Resource.API_KEYS: gateway("apikeys/*"),
        Resource.API_KEY_LIST: gateway("apikeys"),
        Resource.API_TAGS: gateway("tags/*"),
        Resource.APPLICATION: (arn("codedeploy", f"application:{names.stack}-*"),),
        Resource.ASSETS: (f"arn:{partition}:s3:::cdk-*-assets-{account}-{region}/*",),
        Resource.BOOTSTRAP: (arn("ssm", "parameter/cdk-bootstrap/*"),),
        Resource.BUCKET: (bucket,),
        Resource.BUCKETS: (buckets, own),
        Resource.DASHBOARD: (arn("cloudwatch", f"dashboard/{names.dashboard}", regional=False),),
        Resource.EVENT_SOURCES: (arn("lambda", "event-source-mapping:*"),),
        Resource.FUNCTIONS: tuple(arn("lambda", f"function:{name}*") for name in functions),
        Resource.HISTORY: (f"{own}/{history_objects.prefix(names.project, names.env)}*",),
        Resource.JOURNALS: (f"{own}/{journal_objects.prefix(names.project, names.env)}*",),
        Resource.KEY: (arn("kms", "key/*"),),
        Resource.LAYERS: (arn("lambda", "layer:*:*"),),
        Resource.LEASE: (f"{own}/{lease_objects.key(names.stack)}",),
        Resource.LOGGING_ROLE: (arn("iam", f"role/{aws_account.API_LOGGING_ROLE}", regional=False),),
        Resource.LOG_GROUPS: tuple(arn("logs", f"log-group:{group}:*") for group in groups),
        Resource.OBJECTS: (f"{bucket}/*",),
        Resource.OBJECTS_OF_BUCKETS: (f"{buckets}/*",),
        Resource.PARAMETERS: (arn("ssm", f"parameter/{names.project}/{names.env}/*"), *_secrets(environment, SSM)),
        Resource.QUEUES: (arn("sqs", names.queue), arn("sqs", names.dlq)),
        Resource.QUOTAS: tuple(arn("servicequotas", f"{service}/*") for service in _QUOTAS),
        Resource.RELEASES: (f"{own}/{release_objects.prefix(names.project, names.env)}*",),
        Resource.RULES: (arn("events", f"rule/{names.stack}-*"), arn("events", f"rule/*/{names.stack}-*")),
        Resource.ROLES: (arn("iam", f"role/{names.stack}-*", regional=False),),
        Resource.SECRETS: _secrets(environment, SECRETS_MANAGER),
        Resource.SPANS: (arn("logs", "log-group:aws/spans:*"),),
        Resource.STACK: (arn("cloudformation", f"stack/{names.stack}/*"),),
        Resource.TABLE: (table,),
        Resource.TABLE_AND_INDEXES: (table, f"{table}/index/*"),
        Resource.TOPIC: (arn("sns", names.topic),),
        Resource.USAGE_PLANS: gateway("usageplans/*"),
        Resource.USAGE_PLAN_LIST: gateway("usageplans"),
    }


def _secrets(environment: Environment, service: str) -> tuple[str, ...]:
    """The ARNs of the secrets that rtp.toml names, of one service."""
    region, account = environment.region, environment.account or "*"
    sources = [secret_sources.parse(text) for text in environment.settings.secrets.values()]
    partition = contract.partition(region)
    return tuple(sorted({s.arn(partition, region, account) for s in sources if s.service == service}))
