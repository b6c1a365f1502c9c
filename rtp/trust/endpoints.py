"""Where requests go: to AWS, to this machine, or elsewhere."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

_AWS = ("amazonaws.com", "amazonaws.com.cn", "api.aws", "amazonaws.eu")


def is_elsewhere(url: str) -> bool:
    """Whether an endpoint is neither on this machine nor AWS's over HTTPS."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return parts.scheme != "https" or not any(host.endswith(f".{domain}") for domain in _AWS)
