"""The policies of `rtp doctor --policy` against the operations in the code and against AWS's own list of actions."""

from __future__ import annotations

import ast
import fnmatch
import importlib.resources
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp import cli
from rtp.config.environments import resolve
from rtp.ops.access import policy
from rtp.ops.access.calls import CALLS, ROLES, Role
from rtp.ops.capacity.facts import facts
from tests import trees

if TYPE_CHECKING:
    from rtp.config import Environment

RTP = Path(__file__).parents[3] / "rtp"
CONFIG = """
project = "shop"
[env.prod]
account = "111122223333"
region = "eu-west-1"
secrets = { TOKEN = "secretsmanager:partner", KEY = "ssm:/other/key" }
secrets_key = "alias/team"
"""
# Called where rtp itself does on the engine what the CDK CLI does on AWS.
ON_THE_ENGINE = {"create_stack", "update_stack", "create_change_set", "head_object"}
# Called by `rtp bootstrap`, which an administrator runs.
OF_AN_ADMINISTRATOR = {
    "create_bucket",
    "delete_bucket",
    "get_bucket_tagging",
    "put_bucket_encryption",
    "put_bucket_lifecycle_configuration",
    "put_bucket_ownership_controls",
    "put_bucket_policy",
    "put_bucket_tagging",
    "put_bucket_versioning",
    "put_public_access_block",
}

OPTIONAL = {"cloudwatch:GetMetricData"}  # takes a resource only for metrics that are kept elsewhere


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "rtp.toml").write_text(CONFIG)
    return resolve(cwd=tmp_path, environ={"RTP_ENV": "prod"})


@cache
def aws_actions() -> dict[str, dict[str, list[str]]]:
    """Service -> action in lower case -> patterns of the ARNs that it takes; none: it takes no resource."""
    file = importlib.resources.files("cfnlint.data.AdditionalSpecs") / "Policies.json"
    services: dict[str, Any] = json.loads(file.read_text())
    used = {action.partition(":")[0] for call in CALLS.values() for action in (*call.actions, *call.key)} | {"sts"}
    return {
        service: {
            action: [arn for name in entry.get("Resources", ()) for arn in _formats(spec, name)]
            for action, entry in spec["Actions"].items()
        }
        for service, spec in services.items()
        if service in used
    }


def _formats(spec: dict[str, Any], resource: str) -> list[str]:
    resources = {name.lower(): entry for name, entry in spec["Resources"].items()}
    return list(resources.get(resource.lower(), {}).get("ARNFormats", ()))


def operations_in_the_code() -> set[str]:
    """Every operation that rtp/aws and rtp/ops name in a call, as Python spells it."""
    named = set()
    for file in [*(RTP / "aws").glob("*.py"), *(RTP / "ops").rglob("*.py")]:
        for node in trees.nodes(file):
            if isinstance(node, ast.Call):
                texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
                if len(texts) >= 2 and texts[0] in services() and is_operation(texts[1]):
                    named.add(f"{texts[0]}:{texts[1]}")
    return named


def is_operation(text: str) -> bool:
    return re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", text) is not None


@cache
def services() -> frozenset[str]:
    from botocore.session import Session

    return frozenset(Session().get_available_services())


@trees.READS_ALL
def test_every_operation_in_the_code_has_an_entry() -> None:
    from botocore import xform_name

    entries = {f"{service}:{xform_name(name)}" for service, _, name in (each.partition(":") for each in CALLS)}
    missing = {
        each
        for each in operations_in_the_code() - entries
        if each.partition(":")[2] not in ON_THE_ENGINE | OF_AN_ADMINISTRATOR
    }
    assert not missing


def test_every_entry_is_an_operation_of_the_service() -> None:
    from botocore.session import Session

    session = Session()
    for each in CALLS:
        service, _, operation = each.partition(":")
        assert operation in session.get_service_model(service).operation_names, each


def test_every_command_that_calls_aws_has_a_role() -> None:
    local = {"init", "config", "synth", "processors", "bootstrap", "local", "run", "demo", "docs", "help"}
    local |= {"version", "trust", "test"}
    assert {each.split()[0] for each in ROLES} == set(cli.COMMANDS) - local


@pytest.mark.parametrize("role", Role)
def test_every_action_exists_and_takes_the_resources_that_it_is_given(role: Role, environment: Environment) -> None:
    for statement in policy.document(role, environment).policy["Statement"]:
        for action in statement["Action"]:
            service, _, name = action.partition(":")
            known = aws_actions()[service]
            assert name.lower() in known, action
            formats = known[name.lower()]
            for resource in statement["Resource"]:
                assert (resource == "*") == (not formats or action in OPTIONAL), (action, resource)
                assert resource == "*" or any(_fits(resource, each) for each in formats), (action, resource, formats)


def _fits(arn: str, pattern: str) -> bool:
    regex = re.sub(r"\\\$\\\{\w+\\\}", ".*", re.escape(pattern)).replace(r"\.\*", ".*")
    return re.fullmatch(regex, arn) is not None


def allows(role: Role, environment: Environment, action: str, resource: str) -> bool:
    statements = policy.document(role, environment).policy["Statement"]
    return any(
        action in statement["Action"] and any(fnmatch.fnmatchcase(resource, each) for each in statement["Resource"])
        for statement in statements
    )


def test_each_role_may_do_what_its_commands_need_and_no_more(environment: Environment) -> None:
    dlq = "arn:aws:sqs:eu-west-1:111122223333:shop-prod-dlq"
    stack = "arn:aws:cloudformation:eu-west-1:111122223333:stack/shop-prod/1"
    assert [allows(role, environment, "sqs:ReceiveMessage", dlq) for role in Role] == [True, True, True]
    assert [allows(role, environment, "sqs:DeleteMessage", dlq) for role in Role] == [False, True, True]
    assert [allows(role, environment, "cloudformation:DeleteStack", stack) for role in Role] == [False, False, True]


@pytest.mark.parametrize("role", Role)
def test_nothing_of_another_environment_can_be_changed(role: Role, environment: Environment) -> None:
    others = [
        ("sqs:DeleteMessage", "arn:aws:sqs:eu-west-1:111122223333:shop-dev-dlq"),
        ("cloudformation:DeleteStack", "arn:aws:cloudformation:eu-west-1:111122223333:stack/shop-dev/1"),
        ("lambda:UpdateFunctionCode", "arn:aws:lambda:eu-west-1:111122223333:function:shop-prod-eu-worker"),
        ("dynamodb:PutItem", "arn:aws:dynamodb:eu-west-1:444455556666:table/shop-prod-table"),
        ("s3:GetObject", "arn:aws:s3:::shop-prod-eu-111122223333-eu-west-1/raw/x"),
    ]
    assert not [each for each in others if allows(role, environment, *each)]


def test_a_deployer_writes_the_lease_of_its_own_stack_and_no_other(environment: Environment) -> None:
    bucket = "arn:aws:s3:::rtp-operations-111122223333-eu-west-1"
    own, other = f"{bucket}/leases/shop-prod.json", f"{bucket}/leases/shop-dev.json"
    for action in ("s3:PutObject", "s3:DeleteObject", "s3:GetObject"):
        assert [allows(role, environment, action, own) for role in Role] == [False, False, True]
        assert not allows(Role.DEPLOYER, environment, action, other)
    # Without the right to list, S3 answers 403 for a lease that does not exist, and not 404
    assert allows(Role.DEPLOYER, environment, "s3:ListBucket", bucket)


def test_an_operator_records_commands_in_the_history_of_its_own_environment(environment: Environment) -> None:
    bucket = "arn:aws:s3:::rtp-operations-111122223333-eu-west-1"
    own, other = f"{bucket}/history/shop/prod/1.json", f"{bucket}/history/shop/prod-eu/1.json"
    assert [allows(role, environment, "s3:PutObject", own) for role in Role] == [False, True, True]
    assert [allows(role, environment, "s3:GetObject", own) for role in Role] == [True, True, True]
    assert not any(
        allows(role, environment, action, other) for role in Role for action in ("s3:PutObject", "s3:GetObject")
    )
    # And nobody deletes an entry
    assert not any(allows(role, environment, "s3:DeleteObject", own) for role in Role)


def test_an_operator_hides_objects_of_its_environment_and_deletes_no_version(environment: Environment) -> None:
    own = "arn:aws:s3:::shop-prod-111122223333-eu-west-1/raw/x"
    other = "arn:aws:s3:::shop-prod-eu-111122223333-eu-west-1/raw/x"
    assert [allows(role, environment, "s3:DeleteObject", own) for role in Role] == [False, True, True]
    assert [allows(role, environment, "s3:DeleteObjectVersion", own) for role in Role] == [False, False, True]
    assert not allows(Role.OPERATOR, environment, "s3:DeleteObject", other)


def test_a_reader_may_read_the_quotas_that_the_capacity_names(environment: Environment) -> None:
    for quota in facts().quotas.values():
        arn = f"arn:aws:servicequotas:eu-west-1:111122223333:{quota.service}/{quota.code}"
        readable = allows(Role.READER, environment, "servicequotas:GetServiceQuota", arn)
        assert readable == (bool(quota.code) and quota.service != "lambda"), arn  # Lambda answers for itself


def test_signed_sends_are_an_operator_s(tmp_path: Path) -> None:
    (tmp_path / "rtp.toml").write_text(CONFIG + 'auth = "iam"\n')
    signed = resolve(cwd=tmp_path, environ={"RTP_ENV": "prod"})
    method = "arn:aws:execute-api:eu-west-1:111122223333:abc/prod/POST/process"
    assert [allows(role, signed, "execute-api:Invoke", method) for role in Role] == [False, True, True]
    other = method.replace("111122223333", "444455556666")
    assert not any(allows(role, signed, "execute-api:Invoke", other) for role in Role)


def test_a_deployer_makes_api_gateway_s_logging_role_and_no_other(environment: Environment) -> None:
    roles = {name: f"arn:aws:iam::111122223333:role/{name}" for name in ("rtp-api-gateway-logs", "admin")}
    for action in ("iam:CreateRole", "iam:AttachRolePolicy", "iam:PassRole"):
        allowed = [allows(role, environment, action, roles["rtp-api-gateway-logs"]) for role in Role]
        assert allowed == [False, False, True]
        assert not allows(Role.DEPLOYER, environment, action, roles["admin"])
    # And with AWS's policy alone, for API Gateway alone
    statements = policy.document(Role.DEPLOYER, environment).policy["Statement"]
    [condition] = [each["Condition"] for each in statements if "iam:PassRole" in each["Action"]]
    assert condition["StringEqualsIfExists"] == {
        "iam:PolicyARN": "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs",
        "iam:PassedToService": "apigateway.amazonaws.com",
    }


def test_a_deployer_may_use_the_key_of_secrets_key_for_secrets_alone(environment: Environment) -> None:
    statements = {role: policy.document(role, environment).policy["Statement"] for role in Role}
    of_key = {role: [s for s in each if "kms:Encrypt" in s["Action"]] for role, each in statements.items()}
    assert of_key[Role.READER] == of_key[Role.OPERATOR] == []
    (statement,) = of_key[Role.DEPLOYER]
    assert statement["Action"] == ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
    assert statement["Resource"] == ["arn:aws:kms:eu-west-1:111122223333:key/*"]
    assert statement["Condition"] == {
        "StringEquals": {"kms:ViaService": ["secretsmanager.eu-west-1.amazonaws.com", "ssm.eu-west-1.amazonaws.com"]},
        "ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/team"},
    }


@pytest.mark.parametrize(
    ("key", "arn"),
    [
        ("mrk-" + "0" * 32, "arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-" + "0" * 32),
        ("arn:aws-cn:kms:cn-north-1:444455556666:key/k", "arn:aws-cn:kms:cn-north-1:444455556666:key/k"),
        ("arn:aws-cn:kms:cn-north-1:444455556666:alias/k", "arn:aws-cn:kms:cn-north-1:444455556666:key/*"),
    ],
)
def test_the_key_of_secrets_key_is_named_by_id_arn_or_alias(tmp_path: Path, key: str, arn: str) -> None:
    text = CONFIG.replace("alias/team", key).replace("eu-west-1", "cn-north-1")
    (tmp_path / "rtp.toml").write_text(text)
    there = resolve(cwd=tmp_path, environ={"RTP_ENV": "prod"})
    statements = policy.document(Role.DEPLOYER, there).policy["Statement"]
    (statement,) = (each for each in statements if "kms:Encrypt" in each["Action"])
    assert statement["Resource"] == [arn]
    assert ("ForAnyValue:StringEquals" in statement["Condition"]) == ("alias/" in key)
    assert "ssm.cn-north-1.amazonaws.com.cn" in statement["Condition"]["StringEquals"]["kms:ViaService"]


@pytest.mark.parametrize("role", Role)
def test_a_policy_is_small_enough_to_be_attached(role: Role, environment: Environment) -> None:
    text = json.dumps(policy.document(role, environment).policy, separators=(",", ":"))
    assert len(text) <= (10_240 if role is Role.DEPLOYER else 6_144)  # inline in a role; a managed policy


def test_the_command_prints_the_document_as_aws_takes_it(environment: Environment) -> None:
    argv = [sys.executable, "-m", "rtp", "doctor", "--env", "prod", "--policy", "reader"]
    done = subprocess.run(argv, cwd=environment.root, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == policy.document(Role.READER, environment).policy
    assert set(json.loads(done.stdout)) == {"Version", "Statement"}
