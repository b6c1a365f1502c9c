"""Addresses that the engine issues for downloads and callbacks without a key: each is signed, as AWS's are.

The signing secret belongs to this process, so an address is valid for its path, its time and this run.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtp.local.asgi import Scope

CODE = ("/_ministack/lambda-code/", "/_ministack/lambda-layers/")
RESPONSE = "/_ministack/cfn-response/"
SIGNAL = "/_ministack/cfn-signal/"
DOWNLOAD_S = 600  # as on Lambda
CALLBACK_S = 7200  # as on CloudFormation
_TIME = "%Y%m%dT%H%M%SZ"
_secret = secrets.token_bytes(32)


def signed(method: str, url: str, seconds: int, *, now: datetime | None = None) -> str:
    """The address with a signature for this method; a query that it has is replaced."""
    parts = urlsplit(url)
    date = (now or datetime.now(UTC)).strftime(_TIME)
    query = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Date": date,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Signature": _signature(method, parts.path, date, str(seconds)),
    }
    return urlunsplit(parts._replace(query=urlencode(query)))


def is_issued(path: str) -> bool:
    """Whether the engine issues addresses of this kind."""
    return path.startswith((*CODE, RESPONSE, SIGNAL))


def admits(scope: Scope, is_signal_handle: Callable[[str], bool], *, now: datetime | None = None) -> bool:
    """Whether this address was issued for this method and has not expired.

    is_signal_handle: whether the engine has this wait condition handle, a random id that stays valid over runs.
    """
    method, path = scope["method"], scope["path"]
    if path.startswith(SIGNAL):
        return method == "PUT" and is_signal_handle(path.removeprefix(SIGNAL))
    if method != ("PUT" if path.startswith(RESPONSE) else "GET"):
        return False
    query = parse_qs(scope["query_string"].decode("latin-1"))
    date, seconds, signature = (query.get(f"X-Amz-{name}", [""])[0] for name in ("Date", "Expires", "Signature"))
    if not hmac.compare_digest(signature.encode(), _signature(method, path, date, seconds).encode()):
        return False
    expires = datetime.strptime(date, _TIME).replace(tzinfo=UTC) + timedelta(seconds=int(seconds))
    return (now or datetime.now(UTC)) < expires


def _signature(method: str, path: str, date: str, seconds: str) -> str:
    return hmac.new(_secret, "\n".join((method, path, date, seconds)).encode(), hashlib.sha256).hexdigest()
