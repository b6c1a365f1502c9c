"""The access key of one run of the engine, and whose key a request is signed with.

The id alone lets a request in: it is as unguessable as a token (80 bits) and stands in files of mode 0600 only.
The signature is not checked, because a proxy on this machine changes the Host, which is part of what is signed.
"""

from __future__ import annotations

import base64
import re
import secrets
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.local.asgi import Scope

# As long as AWS's ids, and distinct from them: AWS has no ids with this prefix, so a key of AWS never reaches the
# engine by mistake, and one of the engine's in the user's environment is known to be meant for an engine.
PREFIX = "LKIA"
_ID_BYTES, _SECRET_BYTES = 10, 30
_SIGNED = re.compile(r"Credential=([^/,\s]+)/")


class Keys(NamedTuple):
    """An access key id and its secret."""

    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return "Keys(…)"  # never in a traceback or a log


def generate() -> Keys:
    """A new key of the forms that AWS's have."""
    access_key_id = PREFIX + base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode()
    return Keys(access_key_id, secrets.token_urlsafe(_SECRET_BYTES))


def of_environment(environ: Mapping[str, str]) -> Keys | None:
    """The engine's key in the user's environment (`eval "$(rtp local env)"`); a key of AWS is none."""
    access_key_id, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    return Keys(access_key_id, secret) if access_key_id.startswith(PREFIX) and secret else None


def of_request(scope: Scope) -> str | None:
    """The access key id that a request names, as a header or in its query string; None when it is not signed."""
    given = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"authorization"]
    if len(given) > 1:
        return ""
    authorization = given[0] if given else ""
    if authorization.startswith("AWS4-"):
        credential = _SIGNED.search(authorization)
        return credential[1] if credential else ""
    if authorization.startswith("AWS "):  # the signature before Version 4
        return authorization.removeprefix("AWS ").partition(":")[0]
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    for name in ("X-Amz-Credential", "x-amz-credential", "AWSAccessKeyId"):
        if name in query:
            return str(query[name][0]).partition("/")[0]
    return None
