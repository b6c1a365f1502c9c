"""CloudFormation's drift detection: resources that are not as their stack's template says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.aws import Aws


@dataclass(frozen=True, slots=True)
class PropertyDrift:
    """One property. path: dotted, such as `Environment.Variables.RTP_ENV`."""

    path: str
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class ResourceDrift:
    """One resource. status: MODIFIED or DELETED."""

    logical_id: str
    resource_type: str
    status: str
    properties: tuple[PropertyDrift, ...]


def detect(aws: Aws, stack: str) -> str:
    """Start to compare every resource with the template. Returns the detection's id."""
    return str(aws.call("cloudformation", "detect_stack_drift", StackName=stack)["StackDriftDetectionId"])


def is_running(aws: Aws, detection: str) -> bool:
    """Whether a detection has not ended yet."""
    answer = aws.call("cloudformation", "describe_stack_drift_detection_status", StackDriftDetectionId=detection)
    return bool(answer["DetectionStatus"] == "DETECTION_IN_PROGRESS")


def drifts(aws: Aws, stack: str) -> Iterator[ResourceDrift]:
    """What the last detection found, without the resources that are as they should be."""
    token: dict[str, str] = {}
    while True:
        page = aws.call(
            "cloudformation",
            "describe_stack_resource_drifts",
            StackName=stack,
            StackResourceDriftStatusFilters=["MODIFIED", "DELETED"],
            **token,
        )
        yield from (_drift(d) for d in page["StackResourceDrifts"])
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _drift(d: dict[str, Any]) -> ResourceDrift:
    properties = tuple(
        PropertyDrift(p["PropertyPath"].strip("/").replace("/", "."), p["ExpectedValue"], p["ActualValue"])
        for p in d.get("PropertyDifferences", ())
    )
    return ResourceDrift(d["LogicalResourceId"], d["ResourceType"], d["StackResourceDriftStatus"], properties)
