"""The response URL of a custom resource is signed, as AWS's is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.local import addresses
from rtp.local.patches.patch import Patch, replace

if TYPE_CHECKING:
    from rtp.local.telemetry import Telemetry


def install(_: Telemetry) -> None:
    """Install the patch."""
    from ministack.services.cloudformation import custom_resource

    def response_url(token: str) -> str:
        return addresses.signed("PUT", unsigned(token), addresses.CALLBACK_S)

    unsigned = replace(custom_resource, "_response_url", response_url, "token")


PATCH = Patch(
    name="callbacks",
    aws="The response URL of a custom resource is signed.",
    engine="The URL has no signature, and the engine refuses it.",
    test="tests/local/engine/test_patches.py::a_custom_resource_cannot_answer",
    install=install,
)
