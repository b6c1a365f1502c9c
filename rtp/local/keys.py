"""The access key of one run of the engine, and the key that a request is signed with.

The id alone admits a request: it is as hard to guess as a token (80 bits) and is stored in files of mode 0600 only.
The signature is not checked, because a proxy on this machine changes the Host, which is part of the signed data.
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

# As long as AWS's ids, but AWS has none with this prefix: a key of AWS never reaches the engine by mistake, and a key
# of the engine in the user's environment is recognised.
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
    """A new key in the form of AWS's keys."""
    access_key_id = PREFIX + base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode()
    return Keys(access_key_id, secrets.token_urlsafe(_SECRET_BYTES))


def of_environment(environ: Mapping[str, str]) -> Keys | None:
    """The engine's key in the user's environment (`eval "$(rtp local env)"`); None for a key of AWS."""
    access_key_id, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    return Keys(access_key_id, secret) if access_key_id.startswith(PREFIX) and secret else None


def of_request(scope: Scope) -> str | None:
    """The access key id in a request's header or query string; None if it is not signed, empty if it is malformed."""
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
