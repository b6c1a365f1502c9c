"""Make untrusted text safe for a terminal or a page."""

from __future__ import annotations

from rtp.runtime import characters


def printable(text: str, *, newlines: bool = False) -> str:
    r"""Replace every character that is not to be shown by an escape such as `\x1b`.

    newlines: whether line feeds stay; otherwise they are escaped too, so that a value has one line.
    """
    safe = characters.replaced(text, _escape)
    return safe if newlines else safe.replace("\n", "\\n")


def _escape(character: str) -> str:
    code = ord(character)
    if code == 0x0D:
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
