"""A region of the terminal that is redrawn in place."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rtp.terminal import draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.terminal.output import Elements, Output


class Live:
    """A region of the terminal that is redrawn in place."""

    def __init__(self, region: Any, output: Output) -> None:
        self._region = region
        self._output = output
        self.is_paused = False

    @property
    def visible(self) -> bool:
        """Whether it is shown; otherwise print plain lines instead."""
        return self._region is not None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While a question is asked in its place: it is empty, and nothing is redrawn."""
        self.update([])
        self.is_paused = True
        try:
            yield
        finally:
            self.is_paused = False

    def update(self, elements: Elements) -> None:
        """Redraw the region, unless a question is being asked in its place."""
        if self._region is not None and not self.is_paused:
            from rich.console import Group

            width = self._region.console.width
            items = [row for element in self._output._listed(elements) for row in draw.unbroken(element, width)]
            self._region.update(
                Group(*(draw.renderable(v, first=i == 0, tty=True) for i, v in enumerate(items))), refresh=True
            )
