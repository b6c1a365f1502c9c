"""rtp init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtp.commands.options import Json, Query, new_app
from rtp.ops import scaffold as op
from rtp.text import suggest
from rtp.text.elements import Element, Heading, command, dim, good, line, name

app = new_app()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made when missing.")] = Path(),
    *,
    json: Json = False,
    query: Query = None,
) -> None:
    """Scaffold rtp.toml, processors, a payload and a test."""
    from rtp.terminal.output import Output

    Output(json=json, query=query).result(op.write(folder), lambda made: _render(made, folder))


def _render(made: op.Scaffold, folder: Path) -> list[Element]:
    elements: list[Element] = [line(good("wrote "), name(path)) for path in made.written]
    elements += [line(dim("kept  "), name(path), dim("  (it was there)")) for path in made.kept]
    steps = [
        suggest.literal("rtp deploy"),
        suggest.literal("rtp send payloads/order.json --wait"),
        suggest.literal("rtp show ID"),
    ]
    there = suggest.command("cd", values=(folder,))
    if folder != Path() and there:
        steps.insert(0, there)
    return [*elements, Heading("Next"), *(line(command(step), indent=2) for step in steps)]
