"""What a new template allows that the old one did not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.ops.stack.compare.security import widenings

Statement = dict[str, Any]
READ: Statement = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:b/raw/*"]}


def role(*statements: Statement, **properties: Any) -> dict[str, Any]:
    policy = {"PolicyName": "p", "PolicyDocument": {"Statement": list(statements)}}
    return {"Type": "AWS::IAM::Role", "Properties": {"Policies": [policy], **properties}}


def said(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[str]:
    before = {"Resources": {"R": old}} if old else {}
    after: dict[str, Any] = {"Resources": {"R": new} if new else {}}
    return [w.what for w in widenings(before, after, {"R": "Processing/Role"})]


def test_the_same_policy_widens_nothing() -> None:
    assert said(role(READ), role(READ)) == []


def test_a_new_action_is_named_with_its_resource() -> None:
    more = {**READ, "Action": ["s3:GetObject", "s3:PutObject"]}
    assert said(role(READ), role(more)) == ["allows s3:GetObject, s3:PutObject on arn:b/raw/*"]


def test_fewer_actions_and_narrower_resources_widen_nothing() -> None:
    wide = {**READ, "Action": ["s3:*"], "Resource": ["arn:b/*"]}
    assert said(role(wide), role(READ)) == []


def test_removing_a_condition_widens_and_adding_one_does_not() -> None:
    conditioned = {**READ, "Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}
    assert said(role(conditioned), role(READ)) == ["allows s3:GetObject on arn:b/raw/*"]
    assert said(role(READ), role(conditioned)) == []


def test_removing_a_deny_widens() -> None:
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*", "Principal": "*", "Condition": {"Bool": {"x": "false"}}}
    policy = {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": {"Statement": [deny]}}}
    empty = {"Type": "AWS::S3::BucketPolicy", "Properties": {"PolicyDocument": {"Statement": []}}}
    assert said(policy, empty) == ["no longer denies * on everything to everyone when Bool x false"]
    assert said(policy, None) == ["no longer denies * on everything to everyone when Bool x false"]
    assert said(empty, policy) == []


def test_a_change_of_the_principals_of_a_role_widens() -> None:
    def trusting(service: str) -> dict[str, Any]:
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": service}}
        return role(AssumeRolePolicyDocument={"Statement": [statement]})

    assert said(trusting("lambda.amazonaws.com"), trusting("ec2.amazonaws.com")) == [
        "allows ec2.amazonaws.com to take this role"
    ]


def test_managed_policies_key_policies_and_permissions() -> None:
    assert said(role(), role(ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"])) == [
        "attaches the managed policy arn:aws:iam::aws:policy/AdministratorAccess"
    ]
    statement = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Principal": {"AWS": "*"}}
    old = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": []}}}
    new = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Statement": [statement]}}}
    assert said(old, new) == ["allows kms:Decrypt on everything to everyone"]
    permission = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {"Action": "lambda:InvokeFunction", "FunctionName": "f", "Principal": "s3.amazonaws.com"},
    }
    assert said(None, permission) == ["allows lambda:InvokeFunction on f to s3.amazonaws.com"]


def test_the_end_of_a_long_limit_counts() -> None:
    def permission(end: str) -> dict[str, Any]:
        source = {"Fn::Join": ["", ["arn:aws:execute-api:eu-west-1:1:", "x" * 200, "/prod/POST/", end]]}
        properties = {"Action": "lambda:InvokeFunction", "FunctionName": "f", "Principal": "x", "SourceArn": source}
        return {"Type": "AWS::Lambda::Permission", "Properties": properties}

    assert said(permission("process"), permission("*"))
    principals = [["arn:aws:iam::1:role/" + "x" * 200 + end] for end in ("b", "c")]
    old, new = (role({**READ, "Principal": each}) for each in principals)
    assert said(old, new)


@pytest.mark.parametrize(
    ("kind", "prop", "before", "after", "words"),
    [
        ("AWS::S3::Bucket", "PublicAccessBlockConfiguration", {"BlockPublicAcls": True}, None, "public access"),
        ("AWS::S3::Bucket", "BucketEncryption", {"x": 1}, None, "encryption"),
        ("AWS::DynamoDB::Table", "DeletionProtectionEnabled", True, False, "protection from deletion"),
        ("AWS::SQS::Queue", "KmsMasterKeyId", "k", None, "encryption"),
        ("AWS::KMS::Key", "EnableKeyRotation", True, False, "rotation"),
        ("AWS::ApiGateway::Method", "ApiKeyRequired", True, False, "API key"),
    ],
)
def test_removed_protections_widen(kind: str, prop: str, before: Any, after: Any, words: str) -> None:
    old = {"Type": kind, "Properties": {prop: before}}
    new = {"Type": kind, "Properties": {} if after is None else {prop: after}}
    assert words in said(old, new)[0]
    assert said(new, old) == []


def test_a_resource_that_is_no_longer_retained() -> None:
    table = {"Type": "AWS::DynamoDB::Table", "Properties": {}}
    assert said({**table, "DeletionPolicy": "Retain"}, {**table, "DeletionPolicy": "Delete"}) == [
        "is no longer kept when the stack is deleted"
    ]


actions = st.lists(st.sampled_from(["a:Get", "a:Put", "b:List", "b:*"]), min_size=1, max_size=3, unique=True)
statements = st.builds(
    lambda a, r: {"Effect": "Allow", "Action": a, "Resource": r},
    actions,
    st.lists(st.sampled_from(["r1", "r2", "r*"]), min_size=1, max_size=2, unique=True),
)


@given(st.lists(statements, max_size=3), st.lists(statements, max_size=3))
def test_adding_statements_widens_or_is_covered_and_removing_some_never_widens(
    base: list[Statement], extra: list[Statement]
) -> None:
    assert said(role(*base, *extra), role(*base)) == []
    found = said(role(*base), role(*base, *extra))
    assert len(found) <= len(extra)
