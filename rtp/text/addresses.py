"""User and password in an address, which no message shows."""

from __future__ import annotations

import re

# What stands between `://` and the last `@` of the authority; also a password with a slash, a space or a quote, where
# what follows the colon is no port. A user name alone has none of these: `://host/path, mail to ann@example.com`.
_CREDENTIALS = re.compile(
    r"""(?<=://)(?:[^\s/?#'"<>]*@|[^\s/?#@:'"<>\[]*:(?!\d{1,5}(?:[^\w@]|$))[^\s@][^@\n]{0,200}@(?:[^\s@/]*@)*(?=[\w.\[-]))"""
)


def masked(text: str) -> str:
    """The text with `***` for the user and password of each address in it."""
    return _CREDENTIALS.sub("***@", text) if "://" in text and "@" in text else text
