"""Requests to custom resources are delivered at least once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rtp.local.patches import custom_resources
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from collections.abc import Mapping

_TWICE = 0.5


class RepeatedRequests(Effect):
    """An asynchronous invocation can be delivered twice."""

    name = "custom-resource-repeats"
    summary = "The function of a custom resource gets some requests of CloudFormation twice, with the same RequestId."
    source = "https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html"

    def install(self) -> None:
        """Have the engine deliver some requests twice."""
        custom_resources.deliveries = self.deliveries

    def deliveries(self, _event: Mapping[str, Any]) -> int:
        """How often the request is delivered."""
        return 2 if self.happens(_TWICE) else 1
