"""How views look: as plain text, as a terminal's text, and laid out by rich. Everything is sanitised here."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.terminal.columns import GAP, fit
from rtp.text.elements import Block, Column, Fields, Heading, Line, Style, Table, Text, View
from rtp.text.sanitize import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text as RichText

_STYLES = {
    Style.PLAIN: "",
    Style.STRONG: "bold",
    Style.DIM: "dim",
    Style.GOOD: "green",
    Style.BAD: "bold red",
    Style.WARN: "yellow",
    Style.NAME: "cyan",
    Style.NUMBER: "magenta",
    Style.COMMAND: "",
    Style.ADVICE: "",
}
_ANSI = {
    Style.STRONG: "1",
    Style.DIM: "2",
    Style.GOOD: "32",
    Style.BAD: "1;31",
    Style.WARN: "33",
    Style.NAME: "36",
    Style.NUMBER: "35",
}
_SUGGESTED = re.compile(r"(`[^`]*`)")
_MONOCHROME = {Style.STRONG: "1", Style.DIM: "2", Style.BAD: "1"}


def flat(view: object) -> str:
    """A view as plain text, laid out without rich."""
    if isinstance(view, Line):
        return " " * view.indent + printable("".join([p.text for p in view.parts]))
    if isinstance(view, Fields):
        pad, width = " " * view.indent, max((len(printable(label)) for label, _ in view.pairs), default=0)
        rows = ((printable(label).ljust(width), "-" if cell is None else flat(cell)) for label, cell in view.pairs)
        return "\n".join(f"{pad}{label}  {cell}".rstrip() for label, cell in rows)
    if isinstance(view, Block):
        pad = " " * view.indent
        return "\n".join((pad + row).rstrip() for row in printable(view.text, newlines=True).split("\n"))
    return printable(view.text if isinstance(view, Text) else str(view))


def beyond_ascii(view: View) -> bool:
    """Whether a command in the view has characters that not every encoding has."""
    runs = view.parts if isinstance(view, Line) else (view,) if isinstance(view, Text) else ()
    return any(not run.text.isascii() and _suggests(run) for run in runs)


def unbroken(view: View, width: int) -> list[View]:
    """A view for a region whose lines are cut at `width`: no command in it goes on in the next line.

    In a line that is too long each command stands by itself; one that is too long even so is left out.
    """
    if not isinstance(view, Line | Text):
        return [view]
    runs, indent = (view.parts, view.indent) if isinstance(view, Line) else ((view,), 0)
    if not any(map(_suggests, runs)) or _columns(flat(view)) <= width:
        return [view]
    rows: list[list[Text]] = [[]]
    for piece, is_command in [found for run in runs for found in _pieces(run)]:
        if not is_command:
            rows[-1].append(piece if rows[-1] else replace(piece, text=piece.text.lstrip()))
        elif indent + _columns(piece.text) <= width:
            rows += [[piece], []]
        else:
            rows[-1].append(replace(piece, text="…"))
    return [Line(tuple(row), indent) for row in rows if any(piece.text.strip() for piece in row)]


def _pieces(run: Text) -> list[tuple[Text, bool]]:
    """A run cut into commands and what stands between them."""
    if run.style is Style.ADVICE:
        return [(replace(run, text=text), n % 2 == 1) for n, text in enumerate(_SUGGESTED.split(run.text))]
    return [(run, run.style is Style.COMMAND)]


def _suggests(run: Text) -> bool:
    return run.style is Style.COMMAND or (run.style is Style.ADVICE and "`" in run.text)


def _columns(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def codes(*, colour: bool, monochrome: bool) -> dict[Style, str]:
    """A terminal's control sequence of each style; none where it has no colours, attributes alone under NO_COLOR."""
    if not colour:
        return {}
    known = _MONOCHROME if monochrome else _ANSI
    return {style: f"\x1b[{code}m" for style, code in known.items()}


def lit(view: object, codes: dict[Style, str]) -> str:
    """A view without layout as a terminal shows it."""
    if isinstance(view, Line):
        return " " * view.indent + "".join(
            [
                f"{codes[p.style]}{printable(p.text)}\x1b[0m" if p.style in codes else printable(p.text)
                for p in view.parts
            ]
        )
    style = view.style if isinstance(view, Text | Block) else Style.PLAIN
    return f"{codes[style]}{flat(view)}\x1b[0m" if style in codes else flat(view)


def _text(cell: object) -> RichText:
    from rich.text import Text as RichText

    if cell is None:
        return RichText("-", style="dim")
    if isinstance(cell, Line):
        text = RichText(" " * cell.indent)
        for part in cell.parts:
            text.append(printable(part.text), style=_STYLES[part.style])
        return text
    if isinstance(cell, Text):
        return RichText(printable(cell.text), style=_STYLES[cell.style])
    return RichText(printable(str(cell)))


def renderable(view: View, *, first: bool, tty: bool) -> RenderableType:
    """A view for rich. first: nothing stands above it. tty: tables are fitted to the terminal's width."""
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    if isinstance(view, Table):
        if not view.rows:
            return RichText(view.empty, style="dim")
        return _Fitted(view) if tty else _table(view, None)
    if isinstance(view, Fields):
        grid = RichTable.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for label, value in view.pairs:
            grid.add_row(RichText(printable(label)), _text(value))
        return Padding(grid, (0, 0, 0, view.indent), expand=False)
    if isinstance(view, Heading):
        return RichText(("" if first else "\n") + printable(view.text), style="bold")
    if isinstance(view, Block):
        pad = " " * view.indent
        return RichText(
            "\n".join(pad + row for row in printable(view.text, newlines=True).split("\n")), style=_STYLES[view.style]
        )
    return _text(view)


class _Fitted:
    """A table that is laid out for the terminal's width when it is drawn."""

    def __init__(self, view: Table) -> None:
        self._view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield _table(self._view, options.max_width)


def _table(view: Table, room: int | None) -> RenderableType:
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    columns = [c if isinstance(c, Column) else Column(c) for c in view.columns]
    cells = [[_text(cell) for cell in row] for row in view.rows]
    widths: dict[int, int | None] = dict.fromkeys(range(len(columns)))
    if room is not None:
        natural = [max(RichText(c.title).cell_len, *(row[i].cell_len for row in cells)) for i, c in enumerate(columns)]
        widths |= fit(columns, natural, room)
        widths = {i: width for i, width in widths.items() if width is not None}
    table = RichTable(
        box=None,
        header_style="bold",
        pad_edge=False,
        padding=(0, GAP, 0, 0),
        show_header=any(c.title for c in columns),
    )
    for i, width in widths.items():
        column = columns[i]
        table.add_column(
            RichText(column.title),
            justify="right" if column.right else "left",
            no_wrap=not (column.fold and room is not None),
            overflow="fold" if column.fold else "ellipsis",
            max_width=width,
        )
    for row in cells:
        table.add_row(*(row[i] for i in widths))
    return table
