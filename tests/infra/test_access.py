"""Who may call the API: keys, signatures, addresses, a web ACL; and that a change of it is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rtp.infra import answers
from rtp.ops.stack.compare.security import widenings
from tests.infra.conftest import WEB_ACL

if TYPE_CHECKING:
    from tests.infra.conftest import Template

PATHS = ("process", "events")


def _policy(t: Template) -> dict[str, dict[str, Any]]:
    statements = t.one("ApiGateway::RestApi")["Policy"]["Statement"]
    return {s["Effect"]: s for s in statements}


@pytest.mark.parametrize("env", ["signed", "shut"])
def test_scanners_find_nothing_that_was_not_looked_at(env: str, templates: dict[str, Template]) -> None:
    assert templates[env].report["status"] == 0


@pytest.mark.parametrize("env", ["signed", "shut"])
def test_other_addresses_are_denied_whatever_they_present(env: str, templates: dict[str, Template]) -> None:
    # Then: a Deny, which no key, no identity policy and no later Allow outweighs
    template = templates[env]
    deny = _policy(template)["Deny"]
    assert deny["Principal"] == "*"
    assert deny["Resource"] == "execute-api:/*"
    addresses = deny["Condition"]["NotIpAddress"]["aws:SourceIp"]
    assert addresses in (list(template.plan.settings.allowed_cidrs), template.plan.settings.allowed_cidrs[0])


def test_a_signature_of_any_other_account_opens_nothing(templates: dict[str, Template]) -> None:
    # Given: with IAM, an Allow for * in the resource policy would admit every identity of every account
    signed = templates["signed"]
    assert set(_policy(signed)) == {"Deny"}
    # Then: the methods want a signature and no key
    for path in PATHS:
        assert signed.method(path)["AuthorizationType"] == "AWS_IAM"
        assert signed.method(path)["ApiKeyRequired"] is False
    assert signed.body["Outputs"]["ApiAuth"]["Value"] == "iam"


def test_keys_need_an_allow_beside_the_deny(templates: dict[str, Template]) -> None:
    shut = templates["shut"]
    assert set(_policy(shut)) == {"Deny", "Allow"}
    assert all(shut.method(path)["ApiKeyRequired"] is True for path in PATHS)
    assert "Policy" not in templates["dev"].one("ApiGateway::RestApi")


def test_another_policy_or_authorization_is_another_deployment_of_the_stage(templates: dict[str, Template]) -> None:
    # Given: API Gateway applies a changed policy to a stage only when the stage is deployed again
    deployments = {env: next(iter(templates[env].of("ApiGateway::Deployment"))) for env in ("dev", "signed", "shut")}
    assert len({id[-32:] for id in deployments.values()}) == 3
    for env, id in deployments.items():
        assert templates[env].one("ApiGateway::Stage")["DeploymentId"] == {"Ref": id}


def test_the_web_acl_is_associated_with_the_stage(templates: dict[str, Template]) -> None:
    shut = templates["shut"]
    association = shut.one("WAFv2::WebACLAssociation")
    assert association["WebACLArn"] == WEB_ACL
    assert {"Ref": shut.id("ApiGateway::Stage")} in association["ResourceArn"]["Fn::Join"][1]


def test_a_new_version_of_the_stack_s_key_is_a_new_key(templates: dict[str, Template]) -> None:
    # Then: another logical id and name, so that CloudFormation creates it before it deletes the old one
    ids = {env: templates[env].id("ApiGateway::ApiKey") for env in ("dev", "shut")}
    assert ids["dev"][-8:] != ids["shut"][-8:]
    shut = templates["shut"]
    assert shut.one("ApiGateway::ApiKey")["Name"] == f"{shut.plan.names.stack}-api-key-2"
    assert shut.body["Outputs"]["ApiKeyId"]["Value"] == {"Ref": ids["shut"]}
    assert shut.one("ApiGateway::UsagePlanKey")["KeyId"] == {"Ref": ids["shut"]}


def test_a_deploy_asks_before_it_opens_the_api(templates: dict[str, Template]) -> None:
    # Given: an environment that is shut, and the same one without the settings
    shut, opened = templates["shut"], templates["shut"].copy()
    opened.one("ApiGateway::RestApi").pop("Policy")
    opened.body["Resources"].pop(opened.id("WAFv2::WebACLAssociation"))
    # Then: opening it is named, closing it is not
    lost = [w.what for w in widenings(shut.body, opened.body, {})]
    assert "removes the web ACL" in lost
    assert any(what.startswith("no longer denies") for what in lost)
    assert widenings(opened.body, shut.body, {}) == ()


def test_the_answer_to_an_unsigned_request_says_to_sign_and_not_that_the_path_is_unknown() -> None:
    texts = {
        signed: next(a for a in answers.gateway_answers(signed=signed) if a.type == "MISSING_AUTHENTICATION_TOKEN")
        for signed in (True, False)
    }
    assert (texts[True].status, texts[False].status) == (403, 404)
    assert "Signature Version 4" in str(texts[True].body["message"])


def test_the_access_log_names_the_key_and_the_address() -> None:
    for variable in ("$context.identity.apiKeyId", "$context.identity.sourceIp", "$context.identity.userArn"):
        assert variable in answers.ACCESS_LOG
