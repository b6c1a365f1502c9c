"""The access log that a template declares for a stage of a REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import MismatchError, Patch, require

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry

_STAGE = "AWS::ApiGateway::Stage"


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import apigateway_v1 as apigw
    from ministack.services.cloudformation import provisioners

    require(provisioners, "_RESOURCE_HANDLERS")
    require(apigw, "_stages_v1")
    handler: dict[str, Any] = provisioners._RESOURCE_HANDLERS.get(_STAGE, {})
    if not {"create", "update"} <= handler.keys():
        raise MismatchError(f"{_STAGE} is not created and updated")

    def set_log(props: dict[str, Any]) -> None:
        stage = apigw._stages_v1.get(props.get("RestApiId", ""), {}).get(props.get("StageName", ""))
        declared = props.get("AccessLogSetting") or {}
        if stage is not None:
            names = {"destinationArn": "DestinationArn", "format": "Format"}
            stage["accessLogSettings"] = {key: declared[name] for key, name in names.items() if name in declared}

    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        result = create_one(logical_id, props, stack_name)
        set_log(props)
        return result

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> Any:
        result = update_one(physical_id, old, new, stack_name)
        set_log(new)
        return result

    create_one, update_one = handler["create"], handler["update"]
    provisioners._RESOURCE_HANDLERS[_STAGE] = {**handler, "create": create, "update": update}


PATCH = Patch(
    name="stage_logs",
    aws="A stage writes the access log that its template declares.",
    engine="CloudFormation leaves the access log of a stage out.",
    test="tests/local/engine/test_patches.py::a_declared_access_log_is_left_out",
    install=install,
)
