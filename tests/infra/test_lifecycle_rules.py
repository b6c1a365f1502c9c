"""Deletion: data of protected environments outlives the stack; an unprotected stack leaves nothing."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtp.aws.resource_types import TYPES
from rtp.contract import EMPTIER_HANDLER, EMPTIER_TYPE, EMPTY_TAG
from rtp.ops.stack.compare.changes import is_guarded
from rtp.runtime import emptier

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infra.conftest import Template

    Rule = Callable[[Template], bool]
    Change = Callable[[Template], object]

HOLDS_DATA = [known.type.removeprefix("AWS::") for known in TYPES.values() if known.holds_data]


def data_is_retained_where_protected(t: Template) -> bool:
    """B22: bucket, table, queues, logs and key of a protected environment are retained, but for a failed creation.

    What a first deploy that fails would leave has names that block the next one.
    """
    policies = ("RetainExceptOnCreate", "Retain") if t.plan.protected else ("Delete", "Delete")
    return all(
        (r["DeletionPolicy"], r["UpdateReplacePolicy"]) == policies for kind in HOLDS_DATA for r in _resources(t, kind)
    )


def a_first_deploy_can_be_rolled_back(t: Template) -> bool:
    """No deletion protection in the template: a rollback's own deletion would fail. rtp switches it on afterwards."""
    return "DeletionProtectionEnabled" not in t.one("DynamoDB::Table")


def nothing_else_is_retained(t: Template) -> bool:
    """A3-10: no other resource outlives the stack. Versions are deleted with their function."""
    data = {id for kind in (*HOLDS_DATA, "Lambda::Version") for id in t.of(kind)}
    return not any(
        r.get("DeletionPolicy", "Delete") != "Delete" for id, r in t.body["Resources"].items() if id not in data
    )


def versions_outlive_an_update_and_not_a_failed_one(t: Template) -> bool:
    """A rollback needs old versions; one that a failed update published would fail the next try of the same code."""
    return all(
        (r["DeletionPolicy"], r["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
        for r in _resources(t, "Lambda::Version")
    )


def an_unprotected_key_has_the_shortest_waiting_period(t: Template) -> bool:
    """B22: seven days is the shortest waiting period of KMS."""
    return t.plan.protected or t.one("KMS::Key")["PendingWindowInDays"] == 7


def every_log_group_is_in_the_template(t: Template) -> bool:
    """A1, B23: one for each function, for the API's access and for its execution, all with a retention."""
    names = [group["LogGroupName"] for group in t.of("Logs::LogGroup").values()]
    functions = [function["FunctionName"] for function in t.of("Lambda::Function").values()]
    execution = [name["Fn::Join"][1] for name in names if not isinstance(name, str)]
    return (
        all(isinstance(group["RetentionInDays"], int) for group in t.of("Logs::LogGroup").values())
        and {f"/aws/lambda/{function}" for function in functions} | {f"/aws/apigateway/{t.plan.names.api}"}
        == {name for name in names if isinstance(name, str)}
        and execution == [["API-Gateway-Execution-Logs_", {"Ref": t.id("ApiGateway::RestApi")}, "/prod"]]
        and all("LoggingConfig" in function for function in t.of("Lambda::Function").values())
    )


def the_execution_log_is_created_before_the_stage(t: Template) -> bool:
    """B23: API Gateway creates its own group, without a retention, if the stage is created first."""
    stage = t.resource(t.id("ApiGateway::Stage"))
    execution = next(id for id, group in t.of("Logs::LogGroup").items() if not isinstance(group["LogGroupName"], str))
    return execution in stage["DependsOn"]


def buckets_are_emptied_last(t: Template) -> bool:
    """B24: functions and log delivery are deleted before the buckets are emptied."""
    emptying = {id: r for id, r in t.body["Resources"].items() if r["Type"] == EMPTIER_TYPE}
    if not t.plan.emptied:
        return not emptying
    ((emptied, resource),) = emptying.items()
    delivery = next(id for id, p in t.of("S3::BucketPolicy").items() if "logging.s3.amazonaws.com" in str(p))
    functions = [t.id("Lambda::Function", FunctionName=n) for n in (t.plan.names.processor, t.plan.names.worker)]
    return all(emptied in _list(t.resource(id).get("DependsOn", [])) for id in (*functions, delivery)) and {
        bucket["Ref"] for bucket in resource["Properties"]["Buckets"]
    } == set(t.of("S3::Bucket"))


def buckets_are_marked_where_they_may_be_emptied(t: Template) -> bool:
    """The emptier deletes nothing in a bucket without this stack's id in the tag that its custom resource names."""
    marked = [
        id
        for id, bucket in t.of("S3::Bucket").items()
        if {"Key": EMPTY_TAG, "Value": {"Ref": "AWS::StackId"}} in bucket["Tags"]
    ]
    if not t.plan.emptied:
        return not marked and EMPTY_TAG not in json.dumps(t.body)
    (emptied,) = (r for r in t.body["Resources"].values() if r["Type"] == EMPTIER_TYPE)
    return set(marked) == set(t.of("S3::Bucket")) and emptied["Properties"]["Tag"] == EMPTY_TAG


def the_emptier_is_recognised_by_its_handler(t: Template) -> bool:
    """A deploy recognises an emptier without the guard by its handler, in the template and in Lambda."""
    if not t.plan.emptied:
        return "rtp.runtime.emptier" not in json.dumps(t.body)
    (emptied,) = (r for r in t.body["Resources"].values() if r["Type"] == EMPTIER_TYPE)
    module, _, name = EMPTIER_HANDLER.rpartition(".")
    return (
        t.one("Lambda::Function", FunctionName=t.plan.names.emptier)["Handler"] == EMPTIER_HANDLER
        and is_guarded(emptied, t.body)
        and getattr(importlib.import_module(module), name) is emptier.guarded_handler
        and not hasattr(emptier, "handler")
    )


def old_data_expires(t: Template) -> bool:
    """raw/ expires, results move to cheaper storage, old versions and unfinished uploads are deleted."""
    rules = {rule["Prefix"]: rule for rule in t.bucket["LifecycleConfiguration"]["Rules"]}
    return (
        set(rules) == {"raw/", "processed/"}
        and all(rule["Status"] == "Enabled" for rule in rules.values())
        and "ExpirationInDays" in rules["raw/"]
        and "ExpirationInDays" not in rules["processed/"]
        and rules["processed/"]["Transitions"][0]["StorageClass"] == "STANDARD_IA"
        and all("NoncurrentVersionExpiration" in r and "AbortIncompleteMultipartUpload" in r for r in rules.values())
    )


def the_table_has_point_in_time_recovery(t: Template) -> bool:
    """Point-in-time recovery."""
    return bool(
        t.one("DynamoDB::Table")["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        and t.one("DynamoDB::Table")["BillingMode"] == "PAY_PER_REQUEST"
    )


def _resources(t: Template, kind: str) -> list[dict[str, Any]]:
    return [t.resource(id) for id in t.of(kind)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _depends(t: Template, name: str) -> list[str]:
    ids: list[str] = t.resource(t.id("Lambda::Function", FunctionName=name))["DependsOn"]
    return ids


def _mark(bucket: dict[str, Any]) -> int:
    return next(n for n, tag in enumerate(bucket["Tags"]) if tag["Key"] == EMPTY_TAG)


def _remove(depends: list[str], prefix: str) -> None:
    depends[:] = [id for id in depends if not id.startswith(prefix)]


MUTANTS: list[tuple[Rule, str, Change]] = [
    *(
        (
            data_is_retained_where_protected,
            "prod",
            lambda t, kind=kind: _resources(t, kind)[0].update(DeletionPolicy="Delete"),
        )
        for kind in HOLDS_DATA
    ),
    (data_is_retained_where_protected, "dev", lambda t: _resources(t, "KMS::Key")[0].update(DeletionPolicy="Retain")),
    (
        data_is_retained_where_protected,
        "prod",
        lambda t: _resources(t, "DynamoDB::Table")[0].update(DeletionPolicy="Retain"),
    ),
    (
        a_first_deploy_can_be_rolled_back,
        "prod",
        lambda t: t.one("DynamoDB::Table").update(DeletionProtectionEnabled=True),
    ),
    (nothing_else_is_retained, "dev", lambda t: _resources(t, "SNS::Topic")[0].update(DeletionPolicy="Retain")),
    (
        nothing_else_is_retained,
        "prod",
        lambda t: _resources(t, "Lambda::LayerVersion")[0].update(DeletionPolicy="Retain"),
    ),
    (
        versions_outlive_an_update_and_not_a_failed_one,
        "prod",
        lambda t: _resources(t, "Lambda::Version")[0].update(DeletionPolicy="Retain"),
    ),
    (an_unprotected_key_has_the_shortest_waiting_period, "dev", lambda t: t.one("KMS::Key").pop("PendingWindowInDays")),
    (every_log_group_is_in_the_template, "dev", lambda t: t.body["Resources"].pop(next(iter(t.of("Logs::LogGroup"))))),
    (
        every_log_group_is_in_the_template,
        "prod",
        lambda t: next(iter(t.of("Logs::LogGroup").values())).pop("RetentionInDays"),
    ),
    (every_log_group_is_in_the_template, "prod", lambda t: t.worker.pop("LoggingConfig")),
    (
        the_execution_log_is_created_before_the_stage,
        "prod",
        lambda t: _resources(t, "ApiGateway::Stage")[0].pop("DependsOn"),
    ),
    (buckets_are_emptied_last, "dev", lambda t: _remove(_depends(t, t.plan.names.worker), "CleanupEmptied")),
    (buckets_are_emptied_last, "dev", lambda t: [r.pop("DependsOn", 0) for r in _resources(t, "S3::BucketPolicy")]),
    (buckets_are_emptied_last, "prod", lambda t: t.body["Resources"].update(E={"Type": "Custom::EmptyBuckets"})),
    (buckets_are_marked_where_they_may_be_emptied, "dev", lambda t: t.bucket["Tags"].pop(_mark(t.bucket))),
    (
        buckets_are_marked_where_they_may_be_emptied,
        "dev",
        lambda t: t.bucket["Tags"][_mark(t.bucket)].update(Value="true"),
    ),
    (
        buckets_are_marked_where_they_may_be_emptied,
        "prod",
        lambda t: t.bucket["Tags"].append({"Key": EMPTY_TAG, "Value": {"Ref": "AWS::StackId"}}),
    ),
    (
        the_emptier_is_recognised_by_its_handler,
        "dev",
        lambda t: t.one("Lambda::Function", FunctionName=t.plan.names.emptier).update(
            Handler="rtp.runtime.emptier.handler"
        ),
    ),
    (old_data_expires, "dev", lambda t: t.bucket["LifecycleConfiguration"]["Rules"][0].pop("ExpirationInDays")),
    (old_data_expires, "dev", lambda t: t.bucket["LifecycleConfiguration"]["Rules"][1].update(ExpirationInDays=1)),
    (
        the_table_has_point_in_time_recovery,
        "dev",
        lambda t: t.one("DynamoDB::Table").pop("PointInTimeRecoverySpecification"),
    ),
]


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in MUTANTS), ids=lambda rule: rule.__name__)
def test_every_template_keeps(rule: Rule, template: Template) -> None:
    assert rule(template)


@pytest.mark.parametrize(("rule", "env", "change"), MUTANTS, ids=[rule.__name__ for rule, _, _ in MUTANTS])
def test_a_mutant_is_caught_by(
    rule: Rule, env: str, change: Change, caught: Callable[[Rule, str, Change], bool]
) -> None:
    assert caught(rule, env, change)


def test_a_protected_stack_is_not_deleted_by_mistake(template: Template) -> None:
    manifest = json.loads((Path(template.plan.out) / "manifest.json").read_text())
    (stack,) = (a["properties"] for a in manifest["artifacts"].values() if a["type"] == "aws:cloudformation:stack")
    assert stack.get("terminationProtection", False) is template.plan.protected
    assert stack["tags"] == template.plan.tags
