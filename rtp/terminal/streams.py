"""What a stream is: a terminal or not, its encoding, and rich's console for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from rtp.terminal import charset

if TYPE_CHECKING:
    from rich.console import Console

_SIZES = ("COLUMNS", "LINES")
_PIPE_WIDTH = 100_000  # in a pipe nothing is folded or cut


class Streams:
    """Answers for streams, each computed once: isatty takes longer than writing a line.

    unlimited: a stream on which nothing is folded or cut, even if it is a terminal.
    """

    def __init__(self, unlimited: TextIO | None = None) -> None:
        self.unlimited = unlimited
        self._terminals: dict[int, bool] = {}
        self._narrows: dict[int, bool] = {}
        self._consoles: dict[int, Console] = {}

    def is_narrow(self, stream: TextIO) -> bool:
        """Whether the encoding of a stream lacks characters that rtp itself prints."""
        is_narrow = self._narrows.get(id(stream))
        if is_narrow is None:
            is_narrow = self._narrows[id(stream)] = charset.lacks(stream, "…·→✗")
        return is_narrow

    def is_terminal(self, stream: TextIO) -> bool:
        """Whether a stream is a terminal."""
        is_terminal = self._terminals.get(id(stream))
        if is_terminal is None:
            is_terminal = self._terminals[id(stream)] = stream.isatty()
        return is_terminal

    def console(self, stream: TextIO) -> Console:
        """Rich's console for a stream."""
        console = self._consoles.get(id(stream))
        if console is None:
            from rich.console import Console

            console = Console(
                file=charset.Encoded(stream) if self.is_narrow(stream) else stream,  # type: ignore[arg-type]
                highlight=False,
                markup=False,
                emoji=False,
                width=None if stream.isatty() and stream is not self.unlimited else _PIPE_WIDTH,
                force_terminal=stream.isatty(),
                _environ={k: v for k, v in os.environ.items() if k not in _SIZES or v.strip("0 ")},  # 0: unknown
            )
            self._consoles[id(stream)] = console
        return console
