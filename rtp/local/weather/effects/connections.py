"""Connections that are reset: before a call, after it has had its effect, and in the middle of its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.local.weather.call import Response
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call

_CHANCE = 0.02


class Resets(Effect):
    """Resets the connection of a few calls in a hundred."""

    name = "resets"
    summary = "Connections are reset: before a call, after it has had its effect, or in the middle of its answer."
    source = "https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html"

    async def before(self, call: Call) -> Response | None:
        """Reset the connection instead of making the call."""
        if not self.happens(_CHANCE) or not call.may_fail():
            return None
        return Response(500, (), b"", cut=-1)

    async def after(self, call: Call, response: Response) -> Response:
        """Lose the answer, or half of it."""
        if response.cut is not None or not self.happens(_CHANCE) or not call.may_fail():
            return response
        return replace(response, cut=self.random.choice((-1, len(response.body) // 2)))
