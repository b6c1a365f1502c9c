"""Where requests go: to AWS, to this machine, or elsewhere.

Only a plain address is one: what parsers read in different ways, such as a backslash before an `@`, would be judged as
one host and called as another.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FORM = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?:/[A-Za-z0-9._~%/-]*)?",
    re.ASCII,
)
_AWS = ("amazonaws.com", "amazonaws.com.cn", "api.aws", "amazonaws.eu")
_REGION = re.compile(r"[a-z]{2,3}(?:-[a-z]+)+-[0-9]{1,2}", re.ASCII)


class Endpoint(NamedTuple):
    """Scheme and host of an address; the host in lower case, without brackets and a final dot."""

    scheme: str
    host: str


def parse(url: str) -> Endpoint | None:
    """Read an address: scheme, host, and perhaps a port and a path; None for anything else, a user name too."""
    match = _FORM.fullmatch(url)
    if match is None or not 0 < int(match["port"] or 1) < 65_536:
        return None
    host = match["host"].strip("[]")
    if match["host"].startswith("["):
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return None
    host = host.rstrip(".").lower()
    return Endpoint(match["scheme"], host) if host else None


def is_loopback(url: str | None) -> bool:
    """Whether an address is one of this machine's usual names."""
    endpoint = parse(url) if url is not None else None
    return endpoint is not None and endpoint.host in LOOPBACK


def is_elsewhere(url: str) -> bool:
    """Whether an endpoint is neither one of this machine's usual names nor one of a service of AWS over HTTPS.

    Any user of this machine may listen at its other addresses, such as 127.0.0.2. Hosts of AWS that belong to a
    customer, such as an API's, a bucket's or a load balancer's, are elsewhere.
    """
    endpoint = parse(url)
    if endpoint is None:
        return True
    return not is_loopback(url) and (endpoint.scheme != "https" or not _is_service(endpoint.host))


def _is_service(host: str) -> bool:
    """Whether a host is `SERVICE.amazonaws.com`, `SERVICE.REGION.amazonaws.com` or of another of AWS's domains."""
    labels = next((host.removesuffix(f".{domain}").split(".") for domain in _AWS if host.endswith(f".{domain}")), [])
    if len(labels) == 3 and labels[1] == "dualstack":
        del labels[1]
    return len(labels) == 1 or (len(labels) == 2 and _REGION.fullmatch(labels[1]) is not None)
