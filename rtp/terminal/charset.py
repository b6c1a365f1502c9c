"""Streams whose encoding lacks characters, such as ASCII or Latin-1: what it lacks is escaped and nothing raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO


def escaped(text: str, encoding: str) -> str:
    r"""The text with escapes such as `\xe9` for what the encoding lacks."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


def lacks(stream: TextIO, characters: str) -> bool:
    """Whether the encoding of a stream lacks one of these characters. A stream without one lacks none."""
    try:
        characters.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return True
    return False


def write(stream: TextIO, text: str) -> None:
    """Write a text to a stream of any encoding."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(escaped(text, stream.encoding or "ascii"))


class Encoded:
    """The stream of a console: rich cuts with `…`, which stays one column wide."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text."""
        write(self._stream, text.replace("…", "~"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
