"""rtp processors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.text.elements import Column, Element, Fields, Heading, Table, dim, line, name, warn

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.stack.build import contents as op

app = new_app()
_FILES = 20  # that are listed; --json has them all


@app.command()
@with_session
def processors(session: Session) -> None:
    """Show what the functions get: processors, packed files, packages, variables and secrets.

    Packs and imports your code as a deploy does; nothing is deployed.
    """
    from rtp.ops.stack.build import contents as op

    root = session.environment.root
    session.out.result(op.contents(session.environment), lambda c: _render(c, root))


def _render(contents: op.Contents, root: Path) -> list[Element]:
    elements: list[Element] = []
    if contents.processors:
        columns = [Column("TYPE"), Column("FUNCTION"), Column("MODEL", drop=1), Column("WHERE", long=True, drop=2)]
        rows = [
            (
                name(p.type),
                f"async {p.function}" if p.is_async else p.function,
                p.model or "-",
                dim(p.where.removeprefix(f"{root}{os.sep}")),
            )
            for p in contents.processors
        ]
        elements.append(Table(columns, rows))
    elif not contents.unchecked:
        elements.append(line("no processors: every event is stored unchanged"))
    if contents.unchecked:
        elements.append(line(warn(contents.unchecked)))
    largest = sorted(contents.files, key=lambda file: -file.bytes)
    elements += [Heading("Packed"), *(line(f"{f.bytes:>12,}  ", name(f.path), indent=2) for f in largest[:_FILES])]
    if len(largest) > _FILES:
        elements.append(line(dim(f"and {len(largest) - _FILES} smaller files"), indent=2))
    elements += [line(warn(note), indent=2) for note in contents.left_out]
    size = f"{_mb(contents.code_bytes + contents.layer_bytes)} of {_mb(contents.limit_bytes)} unpacked"
    packages = ", ".join(f"{p.name} {p.version}" for p in contents.packages)
    pairs = [("layer", packages), ("size", size)]
    elements += ["", Fields(pairs)]
    for title, values in (("Variables", contents.environment), ("Secrets", contents.secrets)):
        if values:
            elements += [Heading(title), Fields(list(values.items()), indent=2)]
    if contents.permissions:
        elements.append(Heading("Permissions of both functions"))
        for p in contents.permissions:
            reason = dim(f"  {p.reason}") if p.reason else ""
            elements.append(line(name(", ".join(p.actions)), f" on {', '.join(p.resources)}", reason, indent=2))
    return elements


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
