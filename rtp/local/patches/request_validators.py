"""Request validators that a template declares: created, and used by the methods that name them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import MismatchError, Patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

_VALIDATOR, _METHOD = "AWS::ApiGateway::RequestValidator", "AWS::ApiGateway::Method"

Handler = dict[str, "Callable[..., Any]"]


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services import apigateway_v1
    from ministack.services.cloudformation import provisioners

    require(provisioners, "_RESOURCE_HANDLERS")
    require(apigateway_v1, "_create_request_validator", "_delete_request_validator", "_resources")
    handlers: dict[str, Handler] = provisioners._RESOURCE_HANDLERS
    for kind in (_VALIDATOR, _METHOD):
        if handlers.get(kind, {}).keys() != {"create", "update", "delete"}:
            raise MismatchError(f"{kind} is not created, updated and deleted")
    handlers[_VALIDATOR] = _validators(apigateway_v1)
    handlers[_METHOD] = _methods(apigateway_v1, handlers[_METHOD])


PATCH = Patch(
    name="request_validators",
    aws="A request validator that a template declares is created, and the methods that name it use it.",
    engine="CloudFormation invents an id and creates no validator: every body passes, whatever the model says.",
    test="tests/local/engine/test_patches.py::a_declared_validator_is_not_created",
    install=install,
)


def _validators(apigw: Any) -> Handler:
    def create(_logical_id: str, props: dict[str, Any], _stack_name: str) -> tuple[str, dict[str, str]]:
        data = {
            "name": props.get("Name", ""),
            "validateRequestBody": _yes(props.get("ValidateRequestBody")),
            "validateRequestParameters": _yes(props.get("ValidateRequestParameters")),
        }
        status, _, body = apigw._create_request_validator(props.get("RestApiId", ""), data)
        if status >= 400:
            raise ValueError(f"{_VALIDATOR} create failed: {body!r}")
        validator_id = str(json.loads(body)["id"])
        return validator_id, {"RequestValidatorId": validator_id}

    def update(id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
        delete(id, old)
        return create("", new, stack_name)

    def delete(id: str, props: dict[str, Any]) -> None:
        apigw._delete_request_validator(props.get("RestApiId", ""), id)

    return {"create": create, "update": update, "delete": delete}


def _methods(apigw: Any, handler: Handler) -> Handler:
    def set_validator(props: dict[str, Any]) -> None:
        resource = apigw._resources.get(props.get("RestApiId", ""), {}).get(props.get("ResourceId", ""), {})
        method = resource.get("resourceMethods", {}).get(props.get("HttpMethod", "ANY"))
        if method is not None:
            method["requestValidatorId"] = props.get("RequestValidatorId")

    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        result = handler["create"](logical_id, props, stack_name)
        set_validator(props)
        return result

    def update(id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str) -> Any:
        result = handler["update"](id, old, new, stack_name)
        set_validator(new)
        return result

    return {"create": create, "update": update, "delete": handler["delete"]}


def _yes(value: Any) -> bool:
    return str(value).lower() == "true"
