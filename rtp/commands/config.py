"""rtp config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rtp.commands.options import new_app, with_session
from rtp.commands.session import Session
from rtp.text.elements import Column, Element, Fields, Heading, Line, Style, Table, Text, advice, dim, line, name

if TYPE_CHECKING:
    from rtp.ops import settings

app = new_app()

_LEAST = 40  # columns of a meaning; less would say nothing


@app.command()
@with_session
def config(session: Session) -> None:
    """Show the settings of an environment and the source of each."""
    from rtp.config import environments
    from rtp.ops import settings

    session.out.result(settings.listing(environments.explain(session.overrides)), _render)


def _render(listing: settings.Listing) -> list[Element]:
    rows = [
        (
            name(v.key),
            Text(_written(v.value, listing.file), Style.STRONG if v.origin != "default" else Style.PLAIN),
            Text(v.origin, Style.DIM if v.origin == "default" else Style.PLAIN),
            Text(v.about, Style.DIM),
        )
        for v in listing.settings
    ]
    columns = ("KEY", "VALUE", Column("SOURCE", whole=True, drop=2), Column("MEANING", long=True, least=_LEAST, drop=1))
    file: Line | str = line("none; the built-in defaults apply") if listing.file is None else str(listing.file)
    return [
        Fields([("environment", listing.env), ("stack", listing.stack), ("file", file)]),
        Heading("Settings"),
        Table(columns, rows),
        line(dim("what each means: "), advice("`rtp docs settings`")),
    ]


def _written(value: object, file: Path | None) -> str:
    """A value as in rtp.toml, paths relative to its folder; a dash if it is not set or empty."""
    if isinstance(value, Path):
        return str(value.relative_to(file.parent) if file and value.is_relative_to(file.parent) else value)
    if _is_empty(value):
        return "-"
    return ", ".join(map(_toml, value)) if isinstance(value, list | tuple) else _toml(value)


def _is_empty(value: object) -> bool:
    """Whether nothing is set: null, an empty list, or a table of those."""
    if isinstance(value, dict):
        return all(map(_is_empty, value.values()))
    return value is None or value == () or value == []


def _toml(value: object, *, quoted: bool = False) -> str:
    """A value in the syntax of rtp.toml; texts are quoted within a table only."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        shown = {key: v for key, v in value.items() if v not in ("", False, [], ())}
        return f"{{ {', '.join(f'{key} = {_toml(v, quoted=True)}' for key, v in shown.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(v, quoted=True) for v in value)}]"
    return f'"{value}"' if quoted and isinstance(value, str) else str(value)
