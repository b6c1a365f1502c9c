"""rtp init."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Json, Query, new_app
from rtp.ops.scaffold_examples import Name
from rtp.text import suggest
from rtp.text.elements import Element, Heading, command, dim, good, line, name, warn

if TYPE_CHECKING:
    from rtp.ops import scaffold

app = new_app()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder; created if missing.")] = Path(),
    *,
    example: Annotated[
        Name,
        typer.Option("--example", help="What the processors do: price orders, check sensors' readings, take webhooks."),
    ] = Name.ORDERS,
    json: Json = False,
    query: Query = None,
) -> None:
    """Create a project: rtp.toml, typed processors, payloads, tests, a README and a CI workflow.

    Existing files are kept. In a folder with code, rtp.toml names its processors and its requirements.
    """
    from rtp.ops import scaffold
    from rtp.terminal.output import Output

    Output(json=json, query=query).result(scaffold.write(folder, example), lambda files: _render(files, folder))


def _render(files: scaffold.Scaffold, folder: Path) -> list[Element]:
    elements: list[Element] = [line(good("wrote "), name(path)) for path in files.written]
    elements += [line(good("added "), name(path), dim("  (lines that it lacked)")) for path in files.added]
    elements += [line(dim("kept  "), name(path), dim("  (exists)")) for path in files.kept]
    if files.adopted is not None:
        packages = f", packages of {files.requirements}" if files.requirements else ""
        elements.append(line(good("found "), name(files.adopted), dim(f"  (this folder's processors{packages})")))
    for other in files.others:
        unpacked = f"  declares processors too, which are packed only if {files.adopted} imports it"
        elements.append(line(warn("found "), name(other), unpacked))
    steps = [suggest.literal("rtp processors"), suggest.literal("rtp deploy")]
    if files.adopted is None:
        steps = [suggest.literal("rtp test"), suggest.literal("rtp deploy")]
    if files.payload is not None and (send := suggest.command("rtp", "send", values=[files.payload], wait=True)):
        steps += [send, suggest.literal("rtp show ID")]
    there = suggest.command("cd", values=(folder,))
    if folder != Path() and there:
        steps.insert(0, there)
    return [*elements, Heading("Next"), *(line(command(step), indent=2) for step in steps)]
