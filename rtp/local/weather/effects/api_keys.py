"""API Gateway does not know a new API key at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.local.weather import delays
from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response


class ApiKeys(Effect):
    """An API answers 403 to a key that is seconds old."""

    name = "api-keys"
    summary = (
        "A new API key, and its place in a usage plan, is unknown to the API for a while "
        f"({delays.API_KEY}): 403 Forbidden."
    )
    source = "https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-setup-api-key-with-console.html"

    async def before(self, call: Call) -> Response | None:
        """Refuse a key that was created a moment ago."""
        value = call.headers.get("x-api-key")
        if call.service != "execute-api" or not value:
            return None
        created = self.created(value)
        if created is None or self.now() >= created + delays.API_KEY.of(value):
            return None
        return call.error("ForbiddenException", "Forbidden", 403)

    def created(self, value: str) -> float | None:
        """When the engine created the key with this value, in seconds since 1970; None if there is none."""
        from ministack.services import apigateway_v1

        dates = [key["createdDate"] for key in apigateway_v1._api_keys._data.values() if key.get("value") == value]
        return float(dates[0]) if dates else None
