"""Alarms over metric math: CloudFormation accepts them, so that a template for AWS can be deployed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

_OWN = ("MetricName", "Namespace")  # properties of an alarm over one metric


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services.cloudformation import provisioners

    def record(name: str, props: dict[str, Any]) -> dict[str, Any]:
        if not props.get("Metrics"):
            return of_one_metric(name, props)
        single = {**props, **dict.fromkeys(_OWN, "none"), "Metrics": None}
        return {**of_one_metric(name, single), **dict.fromkeys(_OWN, "")}

    of_one_metric: Callable[..., dict[str, Any]] = replace(
        provisioners, "_cw_metric_alarm_record", record, "name props"
    )


PATCH = Patch(
    name="metric_math",
    aws="A template can declare an alarm over metric math.",
    engine=(
        "A stack with such an alarm cannot be created. With the patch the alarm exists and its state can be set; "
        "it is never evaluated, because the engine has no metric math. Stacks of the environment `local` have no "
        "such alarm."
    ),
    test="tests/local/engine/test_patches.py::an_alarm_over_metric_math_fails_its_stack",
    install=install,
)
