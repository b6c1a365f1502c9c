"""User and password in an address, which no message shows."""

from __future__ import annotations

import re

# What stands between `://` and the last `@` of the authority; also a password with a slash, which is no port.
_CREDENTIALS = re.compile(r"""(?<=://)(?:[^\s/?#'"<>]*@|[^\s/?#@:'"<>]+:(?!\d{1,5}(?:[/?#]|$))[^\s@'"<>]*@)""")


def masked(text: str) -> str:
    """The text with `***` for the user and password of each address in it."""
    return _CREDENTIALS.sub("***@", text) if "://" in text and "@" in text else text
