"""The --html option: a command's result as one HTML page in a file."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.text.elements import dim, line, name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rtp.terminal.output import Output

Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Also write the result as one HTML page to this file.")
]


def check(html: Path | None) -> None:
    """Raise RtpError where the page cannot be written, before anything is read for it."""
    from rtp.ops import files

    if html is not None:
        files.check(html)


@contextmanager
def written(out: Output, html: Path | None, page: Callable[[], str]) -> Iterator[None]:
    """Write the page before the block shows the result, and name the file after it. Raises RtpError."""
    from rtp.ops import files

    if html is None:
        yield
        return
    files.write(html, page(), private=True)
    yield
    out.say(line(dim("page "), name(str(html))))
