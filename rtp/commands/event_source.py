"""The options that name events: a file, standard input, or --data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import option_group
from rtp.errors import UsageError

if TYPE_CHECKING:
    from rtp.ops.events.payload import Payload

_HINT = "Name a FILE, - for standard input, or use --data '{\"total\": 12.5}' with --type order.created."


@option_group
class EventSource:
    """Where events are read from."""

    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="One event, a JSON array, or an event per line; - is standard input."),
    ] = None
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="JSON", help="Data of one event, whose type is --type.")
    ] = None
    kind: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Type of the event in --data.")] = None

    def payload(self) -> Payload:
        """Read and check the events. Raises UsageError."""
        from rtp.ops.events import payload

        if self.file is None and self.data is None:
            raise UsageError("No event is given.", hint=_HINT)
        if self.file is not None and self.data is not None:
            raise UsageError("FILE and --data exclude each other.", hint="Leave one of them out.")
        if self.data is not None:
            return payload.of_data(self.data, self.kind)
        if self.kind is not None:
            raise UsageError("--type belongs to --data.", hint="The events of a file have their own types.")
        if self.file == "-":
            return payload.of_stream(sys.stdin.buffer, "standard input")
        return payload.of_file(Path(str(self.file)))
