"""Custom resources are called as CloudFormation calls them: asynchronously, again after an error, and at a rollback."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from rtp.local.patches.patch import Patch, replace, require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rtp.local.telemetry import Telemetry

log = logging.getLogger("rtp.custom-resources")
RETRY_PAUSES_S = (1.0, 2.0)  # before the second and third invocation; a minute and two minutes on AWS
_DEFAULT_TIMEOUT_S = 3600
_FAILED_CREATES = "_failed_creates"  # in the engine's record of a stack: resources whose creation failed
_ID_BYTES = 1024

# How many times a request is delivered without an error; the weather delivers some twice.
deliveries: Callable[[dict[str, Any]], int] = lambda _event: 1  # noqa: E731 - the weather replaces it


class CustomResourceError(RuntimeError):
    """A custom resource answered FAILED, or with an id that CloudFormation does not accept."""


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services.cloudformation import _stacks, custom_resource, handlers, stacks

    require(custom_resource, "register_token", "_pending", "_lock", "_response_url", "_normalise_resource_properties")
    calls = CustomResources(custom_resource, _stacks)
    parameters = "request_type logical_id props stack_name stack_id resource_type physical_id old_props"
    replace(custom_resource, "invoke_custom_resource", calls.invoke, parameters)

    async def roll_back(
        stack_name: str, stack_id: str, stack: dict[str, Any], operation: dict[str, Any], reason_override: str = ""
    ) -> None:
        failed = failed_creates(stack)
        operation["created"] = [*operation.get("created", ()), *failed]
        await roll_back_without(stack_name, stack_id, stack, operation, reason_override)

    async def delete(stack_name: str, stack_id: str, retain_resources: Iterable[str] = (), force: bool = False) -> None:
        failed_creates(_stacks.get(stack_name) or {})
        await delete_without(stack_name, stack_id, retain_resources, force)

    roll_back_parameters, delete_parameters = (
        "stack_name stack_id stack operation reason_override",
        "stack_name stack_id retain_resources force",
    )
    roll_back_without = replace(stacks, "_roll_back_operation", roll_back, roll_back_parameters)
    replace(handlers, "_roll_back_operation", roll_back, roll_back_parameters)
    delete_without = replace(stacks, "_delete_stack_async", delete, delete_parameters)
    replace(handlers, "_delete_stack_async", delete, delete_parameters)


PATCH = Patch(
    name="custom_resources",
    aws=(
        "The function of a custom resource is invoked asynchronously, and again after an error. A resource whose "
        "creation failed is deleted by the rollback, with the id of the failed response or a generated one. A response "
        "without PhysicalResourceId is a failure."
    ),
    engine=(
        "The function is invoked once; after an error the stack waits an hour. A failed creation is never deleted. "
        "A missing id is replaced by the request's."
    ),
    test="tests/local/engine/test_patches.py::a_failed_custom_resource_is_not_deleted",
    install=install,
)


def failed_creates(stack: dict[str, Any]) -> list[str]:
    """Move the failed creations of a stack among its resources, which are to be deleted, and return their ids."""
    failed: dict[str, Any] = stack.pop(_FAILED_CREATES, {})
    stack.setdefault("_resources", {}).update(failed)
    return list(failed)


class CustomResources:
    """Requests to the functions behind custom resources."""

    def __init__(self, custom_resource: Any, stacks: Any) -> None:
        self._module = custom_resource
        self._stacks = stacks

    def invoke(  # noqa: PLR0913 - the engine's own parameters
        self,
        request_type: str,
        logical_id: str,
        props: dict[str, Any],
        stack_name: str,
        stack_id: str,
        resource_type: str,
        physical_id: str | None = None,
        old_props: dict[str, Any] | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """Send a request and wait for its response: physical id and attributes.

        Runs in a worker thread. Raises ValueError, TimeoutError or CustomResourceError.
        """
        normalised = self._module._normalise_resource_properties
        event = {
            "RequestType": request_type,
            "RequestId": self._token(),
            "StackId": stack_id,
            "ResourceType": resource_type,
            "LogicalResourceId": logical_id,
            "ResourceProperties": normalised(props),
        }
        if physical_id is not None:
            event["PhysicalResourceId"] = physical_id
        if old_props is not None:
            event["OldResourceProperties"] = normalised(old_props)
        failed: dict[str, Any] = (self._stacks.get(stack_name) or {}).setdefault(_FAILED_CREATES, {})
        result: dict[str, Any] = {}
        try:
            result = self._answer(event, props)
            returned = check(result)
        except Exception:
            if request_type == "Create":
                # CloudFormation names a resource that has given itself no id.
                generated = f"{stack_name}-{logical_id}-{event['RequestId'][:12].upper()}"
                failed[logical_id] = {
                    "PhysicalResourceId": str(result.get("PhysicalResourceId") or generated),
                    "ResourceType": resource_type,
                    "ResourceStatus": "CREATE_FAILED",
                    "LogicalResourceId": logical_id,
                    "Properties": props,
                    "Attributes": {},
                }
            raise
        failed.pop(logical_id, None)
        return returned, result.get("Data") or {}

    def _answer(self, event: dict[str, Any], props: dict[str, Any]) -> dict[str, Any]:
        """The response to a request. Raises TimeoutError."""
        module = self._module
        function = self._function(str(props.get("ServiceToken", "")))
        token = self._token()
        event["ResponseURL"] = module._response_url(token)
        answered = module.register_token(token)
        context = contextvars.copy_context()  # account and region of the stack
        threading.Thread(
            target=context.run, args=(deliver, function, event), daemon=True, name="rtp-custom-resource"
        ).start()
        answered.wait(_timeout_s(props))
        with module._lock:
            entry = module._pending.pop(token, None)
        result = (entry or {}).get("result")
        if result is None:
            raise TimeoutError(
                "CloudFormation did not receive a response from your Custom Resource. Please check your logs for "
                f"requestId [{event['RequestId']}]."
            )
        return dict(result)

    def _function(self, service_token: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        from ministack.core.responses import get_region
        from ministack.services import lambda_svc

        parts = service_token.split(":")
        if len(parts) > 3 and parts[2] == "lambda" and parts[3] != get_region():
            raise ValueError(f"The ServiceToken {service_token} must be in the stack's region, {get_region()}.")
        record, config, _ = lambda_svc._get_func_record_for_ref(service_token)
        if record is None or config is None:
            raise ValueError(f"The ServiceToken {service_token} is not a function that exists.")

        def call(event: dict[str, Any]) -> dict[str, Any]:
            execution = lambda_svc._execution_record_for_config(record, config)
            return dict(lambda_svc._execute_function_with_config_scope(execution, event) or {})

        return call

    def _token(self) -> str:
        from ministack.core.responses import new_uuid

        return str(new_uuid())


def deliver(
    function: Callable[[dict[str, Any]], dict[str, Any]],
    event: dict[str, Any],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Invoke a function as an asynchronous invocation does: again after an error, and at times without one."""
    remaining = deliveries(event)
    pauses = iter(RETRY_PAUSES_S)
    while remaining:
        try:
            error = function(event).get("error")
        except Exception as raised:
            log.warning("the function of %s cannot be invoked: %s", event["LogicalResourceId"], raised)
            error = raised
        if not error:
            remaining -= 1
            continue
        pause = next(pauses, None)
        if pause is None:
            return
        sleep(pause)


def check(result: dict[str, Any]) -> str:
    """The physical id of a response. Raises CustomResourceError for a failure, and for one without a valid id."""
    if result.get("Status") != "SUCCESS":
        raise CustomResourceError(
            f"Received response status [FAILED] from custom resource. Message returned: {result.get('Reason', '')}"
        )
    physical_id = result.get("PhysicalResourceId")
    if not isinstance(physical_id, str) or not 0 < len(physical_id.encode()) <= _ID_BYTES:
        raise CustomResourceError("Invalid PhysicalResourceId")
    return physical_id


def _timeout_s(props: dict[str, Any]) -> int:
    try:
        return int(props.get("ServiceTimeout", _DEFAULT_TIMEOUT_S))
    except (ValueError, TypeError):
        return _DEFAULT_TIMEOUT_S
