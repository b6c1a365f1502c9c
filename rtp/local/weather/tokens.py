"""Idempotency tokens, which AWS promises and the engine ignores: a call that is repeated gets its first answer.

Without it a client that did what AWS asks for would fail where an answer is lost.
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtp.local.weather.call import Call, Response

_NAMES = ("ClientToken", "ClientRequestToken")
_REMEMBERED = 200


class Tokens:
    """Answers of CloudFormation's calls that had a token."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[str, str, str], Response] = OrderedDict()

    async def send(self, call: Call) -> Response:
        """The engine's answer, or the one that the same call got before."""
        token = next((str(call.params[name]) for name in _NAMES if call.params.get(name)), "")
        if not token or call.service != "cloudformation":
            return await call.send()
        key = call.operation, str(call.params.get("StackName", "")), token
        answer = self._answers.get(key)
        if answer is None:
            answer = await call.send()
            if answer.ok:
                self._answers[key] = answer
        if len(self._answers) > _REMEMBERED:
            self._answers.popitem(last=False)
        return answer
