"""rtp init."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtp.commands.options import Json, Query, new_app
from rtp.ops import scaffold
from rtp.text import suggest
from rtp.text.elements import Element, Heading, command, dim, good, line, name

app = new_app()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder; created if missing.")] = Path(),
    *,
    json: Json = False,
    query: Query = None,
) -> None:
    """Create a project: rtp.toml, processors, payloads, a test and a CI workflow."""
    from rtp.terminal.output import Output

    Output(json=json, query=query).result(scaffold.write(folder), lambda files: _render(files, folder))


def _render(files: scaffold.Scaffold, folder: Path) -> list[Element]:
    elements: list[Element] = [line(good("wrote "), name(path)) for path in files.written]
    elements += [line(dim("kept  "), name(path), dim("  (exists)")) for path in files.kept]
    steps = [
        suggest.literal("rtp deploy"),
        suggest.literal("rtp send payloads/order.json --wait"),
        suggest.literal("rtp show ID"),
    ]
    there = suggest.command("cd", values=(folder,))
    if folder != Path() and there:
        steps.insert(0, there)
    return [*elements, Heading("Next"), *(line(command(step), indent=2) for step in steps)]
