"""The one measure of text on a terminal: columns of what is drawn, after escapes. Wide characters take two."""

from __future__ import annotations

from rtp.text.sanitize import printable


def columns(text: str) -> int:
    """Columns of a text of one line."""
    if text.isascii() and text.isprintable():
        return len(text)
    from rich.cells import cell_len

    return cell_len(printable(text))


def left(text: str, width: int) -> str:
    """The text with spaces after it, to a width."""
    return text + " " * (width - columns(text))


def right(text: str, width: int) -> str:
    """The text with spaces before it, to a width."""
    return " " * (width - columns(text)) + text


def cut(text: str, width: int) -> str:
    """The text, or as much of it as fits with `…` at its end."""
    if columns(text) <= width:
        return text
    from rich.cells import set_cell_size

    return set_cell_size(printable(text), max(width - 1, 0)).rstrip(" ") + "…" if width > 0 else ""
