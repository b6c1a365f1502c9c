"""The addresses of functions' code, of layers and of a custom resource's callback are signed, as AWS's are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rtp.local import addresses
from rtp.local.patches.patch import Patch, replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.telemetry import Telemetry

    Response = tuple[int, dict[str, str], bytes]


def install(_: Telemetry) -> None:
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


PATCH = Patch(
    name="downloads",
    aws="The address of a function's code or of a layer is signed.",
    engine="The address is made of names alone, so that anybody can fetch it; the engine refuses it.",
    test="tests/local/engine/test_patches.py::the_code_s_address_can_be_guessed",
    install=install,
)


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
