"""The rules for every bucket, role and policy of every environment, also of those that `[infra] extend` adds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.infra import child
from tests.infra.conftest import Template
from tests.unit.docs.test_your_code_page import FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.infra.plan import Plan

    Rule = Callable[[Template], list[str]]

ENVIRONMENTS = ("local", "dev", "prod", "signed", "shut", "odd", "extended")
# A role belongs to an account, and only its users can give it to a service: nobody else's function or deployment group
# can have it. AWS documents no source in the calls by which these services assume a role, so a condition would fail.
WITHOUT_SOURCE = {"lambda.amazonaws.com", "codedeploy.amazonaws.com"}
SOURCES = ("aws:SourceAccount", "aws:SourceArn", "kms:EncryptionContext:aws:logs:arn")
POLICIES = {
    "S3::BucketPolicy": "PolicyDocument",
    "SQS::QueuePolicy": "PolicyDocument",
    "SNS::TopicPolicy": "PolicyDocument",
    "KMS::Key": "KeyPolicy",
    "ApiGateway::RestApi": "Policy",
}


@pytest.fixture(scope="session")
def every(
    templates: dict[str, Template], plan: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Template]:
    """The templates of every environment, and one with the extension of docs/your-code.md."""
    folder = tmp_path_factory.mktemp("extended")
    (folder / "infra.py").write_text(FILES["infra.py"])
    own = plan("extended", out=str(folder / "out"), extend=str(folder / "infra.py"), root=str(folder))
    child.run(own, folder, folder / "log")
    body = json.loads(Path(own.out, f"{own.names.stack}.template.json").read_text())
    return {**templates, "extended": Template(body, own)}


def buckets_refuse_old_tls(t: Template) -> list[str]:
    """Buckets of which no policy denies what is not TLS, or TLS before 1.2."""
    wanted = ({"Bool": {"aws:SecureTransport": "false"}}, {"NumericLessThan": {"s3:TlsVersion": 1.2}})
    denied: dict[str, list[Any]] = {}
    for policy in t.of("S3::BucketPolicy").values():
        denied.setdefault(policy["Bucket"]["Ref"], []).extend(
            s["Condition"] for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny"
        )
    return [id for id in t.of("S3::Bucket") if not all(condition in denied.get(id, []) for condition in wanted)]


def roles_name_the_source(t: Template) -> list[str]:
    """Roles that a service may assume for whatever account and resource asks it to, or that anybody may assume."""
    wrong = []
    for id, role in t.of("IAM::Role").items():
        for s in role["AssumeRolePolicyDocument"]["Statement"]:
            is_service = set(s["Principal"]) == {"Service"}
            named = is_service and {"aws:SourceAccount", "aws:SourceArn"} <= _keys(s)
            if not named and not (is_service and s["Principal"]["Service"] in WITHOUT_SOURCE):
                wrong.append(id)
    return wrong


def policies_name_the_source(t: Template) -> list[str]:
    """Policies that allow something to a service for whatever account asks it to, or to anybody without a condition."""
    wrong = []
    for kind, property in POLICIES.items():
        for id, resource in t.of(kind).items():
            for s in resource.get(property, {}).get("Statement", ()):
                principal = s["Principal"]
                if s["Effect"] == "Deny" or _is_this_account(principal):
                    continue
                is_service = isinstance(principal, dict) and set(principal) == {"Service"}
                if (is_service and not _keys(s) & set(SOURCES)) or (not is_service and not _is_narrowed(t, id, s)):
                    wrong.append(id)
    return wrong


def permissions_name_the_source(t: Template) -> list[str]:
    """Functions that a service may call for whatever resource asks it to."""
    return [id for id, p in t.of("Lambda::Permission").items() if not {"SourceArn", "SourceAccount"} & set(p)]


def roles_allow_no_star(t: Template) -> list[str]:
    """Policies of roles that allow every action, or every action of a service."""
    return [
        id
        for id, statements in _of_roles(t)
        for s in statements
        if s["Effect"] == "Allow" and any(action.endswith("*") for action in _list(s["Action"]))
    ]


def roles_use_no_bucket_of_others(t: Template) -> list[str]:
    """Roles that may use a bucket of a stranger who took the name of a deleted one; without those of extensions."""
    return [
        id
        for id, role in t.of("IAM::Role").items()
        for policy in role.get("Policies", ())
        for s in policy["PolicyDocument"]["Statement"]
        if any(action.startswith("s3:") for action in _list(s["Action"]))
        and not str(s.get("Sid")).startswith("Own")  # of `permissions` in rtp.toml
        and s.get("Condition", {}).get("StringEquals") != {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}
    ]


def _of_roles(t: Template) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for id, role in t.of("IAM::Role").items():
        for policy in role.get("Policies", ()):
            yield id, policy["PolicyDocument"]["Statement"]
    for kind in ("IAM::Policy", "IAM::ManagedPolicy"):
        for id, policy in t.of(kind).items():
            yield id, policy["PolicyDocument"]["Statement"]


def _keys(statement: dict[str, Any]) -> set[str]:
    """Keys of a statement's conditions."""
    return {key for keys in statement.get("Condition", {}).values() for key in keys}


def _is_this_account(principal: Any) -> bool:
    return isinstance(principal, dict) and ":root" in json.dumps(principal) and "*" not in json.dumps(principal)


def _is_narrowed(t: Template, id: str, statement: dict[str, Any]) -> bool:
    """Whether an Allow for anybody has a condition, or is the API's, whose methods want a key or a signature."""
    if t.resource(id)["Type"] != "AWS::ApiGateway::RestApi":
        return bool(statement.get("Condition"))
    methods = t.of("ApiGateway::Method").values()
    return all(m["ApiKeyRequired"] and m["AuthorizationType"] == "NONE" for m in methods)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _first(t: Template, kind: str, part: str = "") -> dict[str, Any]:
    return next(p for id, p in t.of(kind).items() if part in id)


def _trust(t: Template, part: str) -> dict[str, Any]:
    statement: dict[str, Any] = _first(t, "IAM::Role", part)["AssumeRolePolicyDocument"]["Statement"][0]
    return statement


def _forget(t: Template, part: str, operator: str) -> None:
    statements = _first(t, "S3::BucketPolicy", part)["PolicyDocument"]["Statement"]
    statements[:] = [s for s in statements if operator not in s.get("Condition", {})]


def _of_s3(t: Template, part: str) -> dict[str, Any]:
    """The first statement of a role about S3."""
    statements = _first(t, "IAM::Role", part)["Policies"][0]["PolicyDocument"]["Statement"]
    return next(s for s in statements if "s3:" in str(s["Action"]))


def _service(t: Template, kind: str, property: str) -> dict[str, Any]:
    """A statement for a service in the first policy of a type that has one."""
    return next(
        s
        for policy in t.of(kind).values()
        for s in policy[property]["Statement"]
        if "Service" in s["Principal"] and "Condition" in s
    )


RULES: tuple[Rule, ...] = (
    buckets_refuse_old_tls,
    roles_name_the_source,
    policies_name_the_source,
    permissions_name_the_source,
    roles_allow_no_star,
    roles_use_no_bucket_of_others,
)
ATTACKS: list[tuple[Rule, Callable[[Template], object]]] = [
    (buckets_refuse_old_tls, lambda t: _forget(t, "StorageAccessLogs", "NumericLessThan")),
    (buckets_refuse_old_tls, lambda t: _forget(t, "StorageBucket", "Bool")),
    (buckets_refuse_old_tls, lambda t: _forget(t, "Uploads", "NumericLessThan")),
    (roles_name_the_source, lambda t: _trust(t, "ToQueue").pop("Condition")),
    (roles_name_the_source, lambda t: _trust(t, "ToQueue")["Condition"].pop("ArnLikeIfExists")),
    (roles_name_the_source, lambda t: _trust(t, "Worker").update(Principal={"AWS": "*"})),
    (roles_name_the_source, lambda t: _trust(t, "Worker").update(Principal={"Service": "states.amazonaws.com"})),
    (policies_name_the_source, lambda t: _service(t, "SQS::QueuePolicy", "PolicyDocument").pop("Condition")),
    (policies_name_the_source, lambda t: _service(t, "SNS::TopicPolicy", "PolicyDocument").pop("Condition")),
    (policies_name_the_source, lambda t: _service(t, "S3::BucketPolicy", "PolicyDocument").pop("Condition")),
    (policies_name_the_source, lambda t: _service(t, "KMS::Key", "KeyPolicy").pop("Condition")),
    (permissions_name_the_source, lambda t: _first(t, "Lambda::Permission").pop("SourceArn")),
    (roles_allow_no_star, lambda t: _first(t, "IAM::Policy")["PolicyDocument"]["Statement"][0].update(Action="s3:*")),
    (roles_use_no_bucket_of_others, lambda t: _of_s3(t, "Worker").pop("Condition")),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_keeps(rule: Rule, env: str, every: dict[str, Template]) -> None:
    assert rule(every[env]) == []


def test_every_environment_is_looked_at(every: dict[str, Template]) -> None:
    assert set(every) == set(ENVIRONMENTS)


@pytest.mark.parametrize(("rule", "attack"), ATTACKS, ids=[rule.__name__ for rule, _ in ATTACKS])
def test_an_attack_is_caught_by(rule: Rule, attack: Callable[[Template], object], every: dict[str, Template]) -> None:
    template = replace(every["extended"]).copy()
    attack(template)
    assert rule(template) != []
