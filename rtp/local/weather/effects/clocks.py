"""Clocks that differ: AWS's is nearly four minutes before or behind this machine's, which signatures tolerate."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from rtp.local.weather.effect import Effect

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

OFFSET_S = 230  # from 240 on the SDK for JavaScript corrects its clock, and retries every error once it has
_UNMOVED = ("", "logs", "s3", "sqs", "apigateway", "execute-api", "xray")
_TIME = re.compile(rb"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?=Z|\+00:00)")


class Clocks(Effect):
    """Moves the Date of answers, and the times of CloudFormation.

    AWS has one clock for its dates and for the times in its data. Here the functions and the engine's services give
    data the time of this machine, so a service whose Date is compared with such times keeps its Date.
    """

    name = "clocks"
    summary = (
        "AWS's clock is nearly 4 minutes off: the Date of answers, except of S3, SQS, CloudWatch Logs, X-Ray and API "
        "Gateway, and the times in CloudFormation's answers."
    )
    source = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html"

    is_logged = False

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._offset = self.random.choice((-OFFSET_S, OFFSET_S))

    async def after(self, call: Call, response: Response) -> Response:
        """Move the times of an answer."""
        if call.service in _UNMOVED:
            return response
        moved = response.with_headers(date=formatdate(self.now() + self._offset, usegmt=True))
        if call.service != "cloudformation" or call.operation == "GetTemplate":
            return moved
        return moved.with_body(_TIME.sub(lambda match: _moved(match.group(), self._offset), moved.body))


def _moved(text: bytes, seconds: int) -> bytes:
    later = datetime.fromisoformat(text.decode()) + timedelta(seconds=seconds)
    return later.isoformat(timespec="milliseconds" if b"." in text else "seconds").encode()
