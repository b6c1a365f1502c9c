"""Each service's own throttling error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

_CHANCE = 0.05
_RATE = "Rate exceeded"
# Code, message, status, and Retry-After in seconds where the service sends it.
_OF_SERVICE: dict[str, tuple[str, str, int, str]] = {
    "dynamodb": ("ThrottlingException", "Throughput exceeds the current capacity of your table or index.", 400, ""),
    "sqs": ("RequestThrottled", "The request was denied due to request throttling.", 403, ""),
    "lambda": ("TooManyRequestsException", _RATE, 429, "1"),
    "cloudwatch": ("ThrottlingException", _RATE, 400, ""),
    "logs": ("ThrottlingException", _RATE, 400, ""),
    "apigateway": ("TooManyRequestsException", "Too Many Requests", 429, "1"),
    "cloudformation": ("Throttling", _RATE, 400, ""),
    "s3": ("SlowDown", "Please reduce your request rate.", 503, ""),
    "kms": (
        "ThrottlingException",
        "You have exceeded the rate at which you may call KMS. Reduce the frequency.",
        400,
        "",
    ),
    "xray": ("ThrottledException", _RATE, 429, ""),
    "iam": ("Throttling", _RATE, 400, ""),
    "sts": ("Throttling", _RATE, 400, ""),
    "resourcegroupstaggingapi": ("ThrottledException", _RATE, 400, ""),
    "execute-api": ("TooManyRequestsException", "Too Many Requests", 429, ""),
}


class Throttling(Effect):
    """Refuses calls before they have an effect."""

    name = "throttling"
    summary = "Calls are refused with the service's own throttling error, with Retry-After where AWS sends it."
    source = "https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html"

    async def before(self, call: Call) -> Response | None:
        """The error, for a few calls in a hundred."""
        error = _OF_SERVICE.get(call.service)
        if error is None or not self.happens(_CHANCE) or not call.may_fail():
            return None
        code, message, status, retry_after = error
        return call.error(code, message, status, **({"Retry_After": retry_after} if retry_after else {}))
