"""Credentials that expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

_CHANCE = 0.02
_PAUSE_S = 30.0


class ExpiredCredentials(Effect):
    """A call in fifty finds the caller's token expired; for half a minute after that it is valid again.

    No SDK retries that: it ends a command whose credentials cannot be refreshed, so the effect has to be named.
    """

    name = "expired-credentials"
    summary = "A call finds the token expired (ExpiredToken), at most once in 30 s. Only if named: it ends commands."
    source = "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html"
    is_optional = True
    _valid_until = 0.0

    async def before(self, call: Call) -> Response | None:
        """The error that each service has for it."""
        if call.service in ("", "execute-api") or self.now() < self._valid_until or not self.happens(_CHANCE):
            return None
        self._valid_until = self.now() + _PAUSE_S
        is_named = call.protocol in ("json", "cbor", "rest-json") and call.service != "s3"
        code = "ExpiredTokenException" if is_named else "ExpiredToken"
        return call.error(code, "The security token included in the request is expired", 403)
