"""rtp config."""

from __future__ import annotations

from pathlib import Path

from rtp import config as configuration
from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.ops import settings as op
from rtp.text.elements import Column, Element, Fields, Heading, Line, Style, Table, Text, line, name

app = new_app()


@app.command()
@with_session
def config(session: Session) -> None:
    """Show an environment's settings and where each came from."""
    session.out.result(op.listing(configuration.explain(session.overrides)), _render)


def _render(found: op.Listing) -> list[Element]:
    rows = [
        (
            name(v.key),
            Text(_written(v.value, found.file), Style.STRONG if v.origin != "default" else Style.PLAIN),
            Text(v.origin, Style.DIM if v.origin == "default" else Style.PLAIN),
            Text(v.about, Style.DIM),
        )
        for v in found.settings
    ]
    where: Line | str = line("none; these are the built-in defaults") if found.file is None else str(found.file)
    return [
        Fields([("environment", found.env), ("stack", found.stack), ("file", where)]),
        Heading("Settings"),
        Table(("KEY", "VALUE", Column("FROM", whole=True), Column("WHAT IT IS", fold=True)), rows),
    ]


def _written(value: object, file: Path | None) -> str:
    """As rtp.toml has it, paths from its folder; a dash for what is not set."""
    if isinstance(value, Path):
        return str(value.relative_to(file.parent) if file and value.is_relative_to(file.parent) else value)
    if value is None or value == () or value == []:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
