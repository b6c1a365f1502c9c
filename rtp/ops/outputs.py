"""What the stack's outputs leave out on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.aws import Aws


def api_key(aws: Aws, key_id: str) -> str:
    """The API key's value. A secret: only for whoever asked to see it, or for a request's header."""
    return str(aws.call("apigateway", "get_api_key", apiKey=key_id, includeValue=True)["value"])
