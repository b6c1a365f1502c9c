"""rtp init."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from rtp.commands.options import Json, Query, new_app
from rtp.ops import scaffold as op
from rtp.view import Heading, View, dim, good, line, name

app = new_app()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made when missing.")] = Path(),
    *,
    json: Json = False,
    query: Query = None,
) -> None:
    """Scaffold rtp.toml, processors, a payload and a test."""
    from rtp.output import Output

    Output(json=json, query=query).result(op.write(folder), lambda made: _render(made, folder))


def _render(made: op.Scaffold, folder: Path) -> list[View]:
    views: list[View] = [line(good("wrote "), name(path)) for path in made.written]
    views += [line(dim("kept  "), name(path), dim("  (it was there)")) for path in made.kept]
    steps = ["rtp deploy", "rtp send payloads/order.json --wait", "rtp show ID"]
    if folder != Path():
        steps.insert(0, f"cd {shlex.quote(str(folder))}")
    return [*views, Heading("Next"), *(line(name(step), indent=2) for step in steps)]
