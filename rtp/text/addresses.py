"""User and password in an address, which no message shows.

Passwords are written into addresses as they are, with characters that an address cannot have. Where a text may be read
in two ways, it is masked: what is lost is the host of a message, and not a password.
"""

from __future__ import annotations

import re

_AT = r"@(?:[^\s@/]*@)*(?=[\w.\[-])"
_USER = r"""[^\s/?#@:'"<>\[]*"""
# What makes a clause of the words between an address and a mail address: one of these stands among them.
_PROSE = (
    "a|about|after|again|an|and|any|are|as|ask|asked|at|be|because|before|but|by|call|can|cannot|complain|contact|did|do|"
    "does|e-mail|email|for|from|had|has|have|if|in|is|it|its|mail|me|no|not|of|off|on|or|our|out|please|reach|report|see|"
    "send|than|that|the|their|then|this|to|us|via|was|we|were|when|which|who|with|write|you|your"
)
_FORMS = (
    # What stands between `://` and the last `@` of the authority.
    r"""(?<=://)[^\s/?#'"<>]*@""",
    # A password with a slash, a space, a line break or a quote, where what follows the colon is no port.
    # A user name alone has none of these: `://host/path, mail to ann@example.com`.
    rf"""(?<=://){_USER}:(?!\d{{1,5}}(?:[^\w@]|$))[^\s@][^@]{{0,200}}{_AT}""",
    # One that begins like a port or with a space, after a name that is no host: it has no dot. But not
    # `://proxy:80, mail to ann@example.com`.
    rf"""(?<=://)(?!localhost:)[^\s/?#@:.'"<>\[]*:(?:(?![;,.]\s)[^@]){{1,200}}{_AT}""",
    # One that begins like a port with a path, after any name; but not `://127.0.0.1:80/a@b` and `://host:80/@scope`.
    rf"""(?<=://)(?![\d.]+:|localhost:){_USER}:\d{{1,5}}/[^\s@]{{1,200}}{_AT}""",
    # One that begins like a port and goes on with a space or another separator, after any name. But not a sentence in
    # which an address is followed by another clause, or stands in quotes: `://host:80 fails; mail to ann@example.com`.
    rf"""(?<=://)(?![\d.]+:|localhost:){_USER}:\d{{1,5}}(?=[^\w@])(?!/@)"""
    rf"""(?:(?![;,.]\s|['">][\s,;.])[^@]){{1,200}}{_AT}""",
    # One that begins with white space, after a name with a dot, which may be a host: `://a.b: word@host` and
    # `://a.b: two words@host`, but not a sentence: `://host.example: mail to ann@example.com`.
    rf"""(?<=://)(?![\d.]+:|localhost:){_USER}:(?=\s[^@]{{1,199}}@)(?![^@]{{0,200}}?[\s(](?:{_PROSE})[\s:])"""
    rf"""(?:(?![;,.]\s|['">][\s,;.])[^@]){{1,200}}{_AT}""",
    # Without a scheme: user:password@ and a host, with a dot, a port or a path. But not `image:1.2@sha256:…`.
    r"""(?<![\w./:@%+~-])(?!mailto:)[\w.%+~-]{1,64}:(?:[^\s/@:'"<>\\]{1,200}@)+"""
    r"""(?=(?!sha\d+:)(?:\[[0-9A-Fa-f:.]+\]|[\w-]+(?:\.[\w-]+)+|localhost|[\w-]+[:/]))""",
)
_CREDENTIALS = re.compile("|".join(f"(?:{form})" for form in _FORMS), re.IGNORECASE)
# What follows a mask up to another `@`: the rest of a password with a `@` and a space, or of one whose user has a `@`.
_REST = re.compile(r"""(?<=://\*\*\*@)(?:(?![;,.]\s|['">][\s,;.]|://)[^@]){1,200}@(?=[\w.\[-])""")
_ROUNDS = 5


def masked(text: str) -> str:
    """The text with `***` for the user and password of each address in it."""
    if "@" not in text or ":" not in text:
        return text
    text = _CREDENTIALS.sub("***@", text)
    for _ in range(_ROUNDS):
        text, count = _REST.subn("", text)
        if not count:
            break
    return text
