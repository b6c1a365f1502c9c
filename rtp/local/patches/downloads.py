"""The addresses of functions' code, of layers and of a custom resource's callback are signed, as AWS's are.

Without this, the first two are made of names alone, so that anybody can fetch them, and the door refuses all three.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.local import addresses
from rtp.local.patches import replace

if TYPE_CHECKING:
    from collections.abc import Callable

    Response = tuple[int, dict[str, str], bytes]


def apply() -> None:
    """Install the patch for Lambda."""
    from ministack.services import lambda_svc

    def code_url(func_name: str) -> str:
        return addresses.signed("GET", unsigned(func_name), addresses.DOWNLOAD_S)

    unsigned = replace(lambda_svc, "_presigned_code_url", code_url, "func_name")
    # A layer's address is stored with it, so it is signed when it is read.
    for name, parameters in (
        ("_publish_layer_version", "layer_name data"),
        ("_get_layer_version", "layer_name version"),
        ("_get_layer_version_by_arn", "arn"),
    ):
        replace(lambda_svc, name, _signing(getattr(lambda_svc, name, None)), parameters)


def apply_to_callbacks() -> None:
    """Install the patch for CloudFormation, once that is loaded."""
    from ministack.services.cloudformation import custom_resource

    def response_url(token: str) -> str:
        return addresses.signed("PUT", unsigned(token), addresses.CALLBACK_S)

    unsigned = replace(custom_resource, "_response_url", response_url, "token")


def _signing(read: Callable[..., Response] | None) -> Callable[..., Response]:
    def signed(*args: Any) -> Response:
        assert read is not None  # noqa: S101 - `replace` refuses a name that is not there
        status, headers, body = read(*args)
        document = json.loads(body) if status < 300 else {}
        if "Location" in document.get("Content", {}):
            content = document["Content"]
            content["Location"] = addresses.signed("GET", content["Location"], addresses.DOWNLOAD_S)
            body = json.dumps(document).encode()
        return status, headers, body

    return signed
