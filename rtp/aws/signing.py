"""Signs requests to an API of the stack that wants a signature in place of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rtp.aws.failures import translated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.aws import Aws

_SERVICE = "execute-api"


class Signature:
    """Signs with the credentials of the command, which are read for each request: temporary ones change."""

    is_new = False

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    def headers(self, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a POST with those of its signature (Version 4). Raises CredentialsError."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest("POST", url, data=body, headers=dict(headers))
        with translated(self._aws, _SERVICE, "sign"):
            SigV4Auth(self._aws.credentials(), _SERVICE, self._aws.region).add_auth(request)
        return dict(request.headers.items())
