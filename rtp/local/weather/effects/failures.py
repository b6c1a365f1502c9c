"""Errors of the services themselves: 500 and 503, before a call has an effect or after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

_CHANCE = 0.03
_AFTER_THE_CALL = 0.3  # share of the 500s that hide a call that has succeeded
_INTERNAL = {
    "dynamodb": "InternalServerError",
    "sqs": "InternalFailure",
    "s3": "InternalError",
    "lambda": "ServiceException",
    "kms": "KMSInternalException",
    "cloudwatch": "InternalServiceFault",
    "execute-api": "InternalServerError",
}
_UNAVAILABLE = {
    "logs": "ServiceUnavailableException",
    "apigateway": "ServiceUnavailableException",
    "kms": "DependencyTimeoutException",
}


class ServerErrors(Effect):
    """Answers a few calls in a hundred with an error that is not the caller's."""

    name = "server-errors"
    summary = "Calls end with 500 or 503; some of those with 500 have had their effect."
    source = (
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html "
        "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html"
    )

    async def before(self, call: Call) -> Response | None:
        """A 503, of a call that has no effect."""
        if not call.service or not self.happens(_CHANCE) or not call.may_fail():
            return None
        code = _UNAVAILABLE.get(call.service, "ServiceUnavailable")
        retry = {"Retry_After": "1"} if call.service == "apigateway" else {}
        return call.error(code, "The service is unavailable. Try again.", 503, **retry)

    async def after(self, call: Call, response: Response) -> Response:
        """A 500 in place of a success."""
        chance = _CHANCE * _AFTER_THE_CALL
        if not call.service or not response.ok or not self.happens(chance) or not call.may_fail():
            return response
        code = _INTERNAL.get(call.service, "InternalFailure")
        return call.error(code, "An internal error occurred. Try again.", 500)
