"""Drift-aware change sets: what was deleted or changed outside CloudFormation is brought back to the template.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/drift-aware-change-sets.html
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from rtp.local.telemetry import Telemetry

    Answer = tuple[int, dict[str, str], bytes]
    Reader = Callable[[str, dict[str, Any]], dict[str, Any] | None]

MODE = "REVERT_DRIFT"
_UNREVERTED = ("Tags",)  # the engine compares tags of the template with those that the stack adds
# What a service deletes together with the resource of the other type, which it refers to.
_PARTS = {
    "AWS::ApiGateway::Deployment": "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::GatewayResponse": "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Method": "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Model": "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::RequestValidator": "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Resource": "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage": "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::UsagePlanKey": "AWS::ApiGateway::(ApiKey|UsagePlan)",
    "AWS::Lambda::Alias": "AWS::Lambda::Function",
    "AWS::Lambda::EventInvokeConfig": "AWS::Lambda::(Function|Alias)",
    "AWS::Lambda::Permission": "AWS::Lambda::(Function|Alias)",
    "AWS::Lambda::Version": "AWS::Lambda::Function",
    "AWS::S3::BucketPolicy": "AWS::S3::Bucket",
    "AWS::SNS::Subscription": "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy": "AWS::SNS::Topic",
    "AWS::SQS::QueuePolicy": "AWS::SQS::Queue",
}


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services.cloudformation import _stacks, changesets, drift, handlers

    require(handlers, "_ACTION_HANDLERS")
    require(changesets, "_find_change_set", "_stack_region_context")
    require(drift, "_DRIFT_READERS", "detect_resource_drift")
    for kind, reader in _readers().items():
        drift._DRIFT_READERS.setdefault(kind, (reader, frozenset()))
    patch = DriftAware(changesets, drift, _stacks)
    for action, name, function in (
        ("CreateChangeSet", "_create_change_set", patch.create),
        ("DescribeChangeSet", "_describe_change_set", patch.describe),
        ("ExecuteChangeSet", "_execute_change_set", patch.execute),
    ):
        patch.without[name] = replace(changesets, name, function, "params")
        handlers._ACTION_HANDLERS[action] = function
    patch.track_without = replace(
        changesets, "_track_change_set_execution", patch.track, "change_set stack deploy_coro"
    )


PATCH = Patch(
    name="drift",
    aws=(
        "A change set with DeploymentMode REVERT_DRIFT compares the template with the resources as they are: it "
        "creates again what was deleted outside CloudFormation, and sets back what was changed."
    ),
    engine="DeploymentMode is ignored: such a change set of an unchanged template is empty.",
    test="tests/local/engine/test_patches.py::a_deleted_resource_is_not_created_again",
    install=install,
)


class DriftAware:
    """The three calls of a change set, with the resources as they are. without: the engine's own functions."""

    track_without: Callable[[dict[str, Any], dict[str, Any], Coroutine[Any, Any, None]], Coroutine[Any, Any, None]]

    def __init__(self, changesets: Any, drift: Any, stacks: Any) -> None:
        self._changesets = changesets
        self._drift = drift
        self._stacks = stacks
        self.without: dict[str, Callable[[dict[str, Any]], Answer]] = {}

    def create(self, params: dict[str, Any]) -> Answer:
        """CreateChangeSet: look at the resources, and add what differs to the changes."""
        answer = self.without["_create_change_set"](params)
        if _value(params, "DeploymentMode") != MODE or answer[0] >= 400:
            return answer
        change_set = self._find(params)
        stack = self._stacks.get(change_set["StackName"]) if change_set else None
        if change_set is None or not stack or not stack.get("_resources"):
            return answer
        statuses, actual = self._drifted(stack)
        change_set["DeploymentMode"] = MODE
        change_set["_actual"] = actual
        change_set["_statuses"] = statuses
        kept = [c for c in change_set["Changes"] if statuses.get(_logical(c)) != "DELETED"]
        listed = {_logical(c) for c in kept}
        removed = {_logical(c) for c in change_set["Changes"] if c["ResourceChange"]["Action"] == "Remove"}
        added = [_change(stack, i, status) for i, status in statuses.items() if i not in listed and i not in removed]
        change_set["Changes"] = [*kept, *added]
        if change_set["Changes"] and change_set["Status"] == "FAILED":
            change_set |= {"Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE", "StatusReason": ""}
        return answer

    def describe(self, params: dict[str, Any]) -> Answer:
        """DescribeChangeSet, with the mode and each resource's drift."""
        status, headers, body = self.without["_describe_change_set"](params)
        change_set = self._find(params)
        if status >= 400 or change_set is None or "_statuses" not in change_set:
            return status, headers, body
        statuses = change_set["_statuses"]

        def with_drift(match: re.Match[str]) -> str:
            drift_status = statuses.get(match[1], "IN_SYNC")
            return f"{match[0]}<ResourceDriftStatus>{drift_status}</ResourceDriftStatus>"

        text = body.decode() if isinstance(body, bytes) else str(body)
        text = re.sub(r"<LogicalResourceId>([^<]+)</LogicalResourceId>", with_drift, text)
        mode = f"<DeploymentMode>{MODE}</DeploymentMode>"
        text = text.replace("<DescribeChangeSetResult>", f"<DescribeChangeSetResult>{mode}", 1)
        return status, headers, text.encode()

    def execute(self, params: dict[str, Any]) -> Answer:
        """ExecuteChangeSet: forget what is gone, so that it is created, and take the others as they are."""
        change_set = self._find(params)
        stack = self._stacks.get(change_set["StackName"]) if change_set else None
        if change_set is None or stack is None or "_statuses" not in change_set:
            return self.without["_execute_change_set"](params)
        resources = stack["_resources"]
        gone = {i: resources.pop(i) for i, status in change_set["_statuses"].items() if status == "DELETED"}
        for logical_id, properties in change_set["_actual"].items():
            resources[logical_id]["Properties"] = {**resources[logical_id]["Properties"], **properties}
        change_set["_gone"] = gone
        answer = self.without["_execute_change_set"](params)
        if answer[0] >= 400:
            resources.update(gone)
        return answer

    async def track(self, change_set: dict[str, Any], stack: dict[str, Any], deploy: Coroutine[Any, Any, None]) -> None:
        """Follow the execution; what could not be created again is still a resource of the stack."""
        try:
            await self.track_without(change_set, stack, deploy)
        finally:
            gone = change_set.pop("_gone", {})
            if change_set.get("ExecutionStatus") != "EXECUTE_COMPLETE":
                for logical_id, record in gone.items():
                    stack["_resources"].setdefault(logical_id, record)

    def _find(self, params: dict[str, Any]) -> dict[str, Any] | None:
        stack_name = _value(params, "StackName")
        if stack_name.startswith("arn:"):
            stack_name = stack_name.split("/")[1]
        found: dict[str, Any] | None = self._changesets._find_change_set(_value(params, "ChangeSetName"), stack_name)[1]
        return found

    def _drifted(self, stack: dict[str, Any]) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """The status of each resource that is not as the template says; the properties of those that were changed."""
        statuses: dict[str, str] = {}
        actual: dict[str, dict[str, Any]] = {}
        with self._changesets._stack_region_context(stack, stack["StackId"]):
            for logical_id, record in stack["_resources"].items():
                if record.get("ResourceType") not in self._drift._DRIFT_READERS:
                    continue
                found = self._drift.detect_resource_drift(stack, logical_id, record, "")
                changed = {d["PropertyPath"].split("/")[1] for d in found.get("PropertyDifferences", ())}
                changed -= set(_UNREVERTED)
                if found["StackResourceDriftStatus"] == "DELETED":
                    statuses[logical_id] = "DELETED"
                elif changed:
                    statuses[logical_id] = "MODIFIED"
                    properties = json.loads(found["ActualProperties"])
                    actual[logical_id] = {name: properties.get(name) for name in changed}
        definitions = stack.get("_template", {}).get("Resources", {})
        while parts := {
            i for i in stack["_resources"] if statuses.get(i) != "DELETED" and _is_gone(i, definitions, statuses)
        }:
            statuses |= dict.fromkeys(parts, "DELETED")
        return statuses, {i: properties for i, properties in actual.items() if statuses[i] == "MODIFIED"}


def _is_gone(logical_id: str, definitions: dict[str, Any], statuses: dict[str, str]) -> bool:
    """Whether a resource is part of one that is gone."""
    definition = definitions.get(logical_id, {})
    whole = _PARTS.get(definition.get("Type", ""))
    return whole is not None and any(
        statuses.get(name) == "DELETED" and re.fullmatch(whole, definitions.get(name, {}).get("Type", ""))
        for name in _references(definition.get("Properties", {}))
    )


def _references(value: Any) -> set[str]:
    """Logical ids that a template's value refers to by Ref or Fn::GetAtt."""
    if isinstance(value, list):
        return {name for each in value for name in _references(each)}
    if not isinstance(value, dict):
        return set()
    if isinstance(value.get("Ref"), str):
        return {value["Ref"]}
    attribute = value.get("Fn::GetAtt")
    if attribute:
        return {attribute[0] if isinstance(attribute, list) else str(attribute).partition(".")[0]}
    return {name for each in value.values() for name in _references(each)}


def _change(stack: dict[str, Any], logical_id: str, status: str) -> dict[str, Any]:
    record = stack["_resources"][logical_id]
    change = {"LogicalResourceId": logical_id, "ResourceType": record["ResourceType"]}
    if status == "DELETED":
        return {"ResourceChange": {"Action": "Add", **change}}
    physical = {"PhysicalResourceId": record["PhysicalResourceId"]}
    return {"ResourceChange": {"Action": "Modify", **change, **physical, "Replacement": "False"}}


def _logical(change: dict[str, Any]) -> str:
    return str(change["ResourceChange"]["LogicalResourceId"])


def _value(params: dict[str, Any], name: str) -> str:
    value = params.get(name) or ""
    return str(value[0] if isinstance(value, list) else value)


def _readers() -> dict[str, Reader]:
    """Existence by physical id, for types that the engine's drift detection leaves out and AWS's does not."""
    from ministack.services import apigateway_v1, cloudwatch, kms, lambda_svc

    require(apigateway_v1, "_api_keys", "_rest_apis", "_stages_v1", "_usage_plans")
    require(cloudwatch, "_alarms", "_dashboards")
    require(kms, "_alias_arn", "_aliases", "_keys")
    require(lambda_svc, "_esms", "_layers")

    def among(read: Callable[[], Any]) -> Reader:
        return lambda physical_id, _: {} if physical_id in read() else None

    def stage(physical_id: str, props: dict[str, Any]) -> dict[str, Any] | None:
        return {} if physical_id in apigateway_v1._stages_v1.get(props.get("RestApiId", ""), {}) else None

    def layer(physical_id: str, _: dict[str, Any]) -> dict[str, Any] | None:
        versions = [v["LayerVersionArn"] for each in lambda_svc._layers.values() for v in each["versions"]]
        return {} if physical_id in versions else None

    def alias(physical_id: str, _: dict[str, Any]) -> dict[str, Any] | None:
        return {} if kms._alias_arn(physical_id) in kms._aliases else None

    return {
        "AWS::ApiGateway::ApiKey": among(lambda: apigateway_v1._api_keys),
        "AWS::ApiGateway::RestApi": among(lambda: apigateway_v1._rest_apis),
        "AWS::ApiGateway::Stage": stage,
        "AWS::ApiGateway::UsagePlan": among(lambda: apigateway_v1._usage_plans),
        "AWS::CloudWatch::Alarm": among(lambda: cloudwatch._alarms),
        "AWS::CloudWatch::Dashboard": among(lambda: cloudwatch._dashboards),
        "AWS::KMS::Alias": alias,
        "AWS::KMS::Key": among(lambda: kms._keys),
        "AWS::Lambda::EventSourceMapping": among(lambda: lambda_svc._esms),
        "AWS::Lambda::LayerVersion": layer,
    }
