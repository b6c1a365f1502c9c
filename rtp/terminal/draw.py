"""Draw elements: as plain text, with control sequences, or laid out by rich. All text is sanitised here."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rtp.terminal.columns import GAP, fit_columns
from rtp.terminal.width import columns, left
from rtp.text.elements import Block, Column, Element, Fields, Heading, Line, Style, Table, Text
from rtp.text.sanitize import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    Style.COMMAND: "",
    Style.ADVICE: "",
    Style.MARK: "reverse",
    Style.HUE_1: "blue",
    Style.HUE_2: "magenta",
    Style.HUE_3: "cyan",
    Style.HUE_4: "bright_blue",
    Style.HUE_5: "bright_magenta",
    Style.HUE_6: "bright_cyan",
}
_ANSI = {
    Style.STRONG: "1",
    Style.DIM: "2",
    Style.GOOD: "32",
    Style.BAD: "1;31",
    Style.WARN: "33",
    Style.NAME: "36",
    Style.MARK: "7",
    Style.HUE_1: "34",
    Style.HUE_2: "35",
    Style.HUE_3: "36",
    Style.HUE_4: "94",
    Style.HUE_5: "95",
    Style.HUE_6: "96",
}
_SUGGESTED = re.compile(r"(`[^`]*`)")
_MONOCHROME = {Style.STRONG: "1", Style.DIM: "2", Style.BAD: "1", Style.MARK: "7"}


def flat(element: object) -> str:
    """Draw an element as plain text, without rich."""
    if isinstance(element, Line):
        return " " * element.indent + printable("".join([p.text for p in element.parts]))
    if isinstance(element, Fields):
        pad, width = " " * element.indent, max((columns(label) for label, _ in element.pairs), default=0)
        rows = ((left(printable(label), width), "-" if cell is None else flat(cell)) for label, cell in element.pairs)
        return "\n".join(f"{pad}{label}  {cell}".rstrip() for label, cell in rows)
    if isinstance(element, Block):
        pad = " " * element.indent
        return "\n".join((pad + row).rstrip() for row in printable(element.text, newlines=True).split("\n"))
    return printable(element.text if isinstance(element, Text) else str(element))


def beyond_ascii(element: Element) -> bool:
    """Whether a command in the element has characters outside ASCII."""
    runs = element.parts if isinstance(element, Line) else (element,) if isinstance(element, Text) else ()
    return any(not run.text.isascii() and _suggests(run) for run in runs)


def unbroken(element: Element, width: int) -> list[Element]:
    """Split an element for a region that cuts lines at `width`, so that no command is cut or wraps.

    In a line that is too long, each command gets its own line; a command that is too long itself is replaced by `…`.
    """
    if not isinstance(element, Line | Text):
        return [element]
    runs, indent = (element.parts, element.indent) if isinstance(element, Line) else ((element,), 0)
    if not any(map(_suggests, runs)) or columns(flat(element)) <= width:
        return [element]
    rows: list[list[Text]] = [[]]
    for piece, is_command in [pieces for run in runs for pieces in _pieces(run)]:
        if not is_command:
            rows[-1].append(piece if rows[-1] else replace(piece, text=piece.text.lstrip()))
        elif indent + columns(piece.text) <= width:
            rows += [[piece], []]
        else:
            rows[-1].append(replace(piece, text="…"))
    return [Line(tuple(row), indent) for row in rows if any(piece.text.strip() for piece in row)]


def _pieces(run: Text) -> list[tuple[Text, bool]]:
    """Split a text into commands and the pieces between them, each with whether it is a command."""
    if run.style is Style.ADVICE:
        return [(replace(run, text=text), n % 2 == 1) for n, text in enumerate(_SUGGESTED.split(run.text))]
    return [(run, run.style is Style.COMMAND)]


def _suggests(run: Text) -> bool:
    return run.style is Style.COMMAND or (run.style is Style.ADVICE and "`" in run.text)


def codes(*, colour: bool, monochrome: bool) -> dict[Style, str]:
    """Return the control sequence of each style; none without colours, only attributes under NO_COLOR."""
    if not colour:
        return {}
    codes_of_styles = _MONOCHROME if monochrome else _ANSI
    return {style: f"\x1b[{code}m" for style, code in codes_of_styles.items()}


def lit(element: object, codes: dict[Style, str]) -> str:
    """Draw an element without layout, with control sequences."""
    if isinstance(element, Line):
        return " " * element.indent + "".join(
            [
                f"{codes[p.style]}{printable(p.text)}\x1b[0m" if p.style in codes else printable(p.text)
                for p in element.parts
            ]
        )
    style = element.style if isinstance(element, Text | Block) else Style.PLAIN
    return f"{codes[style]}{flat(element)}\x1b[0m" if style in codes else flat(element)


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


def renderable(element: Element, *, first: bool, tty: bool) -> RenderableType:
    """Convert an element for rich. first: nothing is above it. tty: whether tables are fitted to its width."""
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    if isinstance(element, Table):
        if not element.rows:
            return RichText(element.empty, style="dim")
        return _Fitted(element) if tty else _table(element, None)
    if isinstance(element, Fields):
        grid = RichTable.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim", overflow="fold")
        grid.add_column(overflow="fold")
        for label, value in element.pairs:
            grid.add_row(RichText(printable(label)), _text(value))
        return Padding(grid, (0, 0, 0, element.indent), expand=False)
    if isinstance(element, Heading):
        return RichText(("" if first else "\n") + printable(element.text), style="bold")
    if isinstance(element, Block):
        pad = " " * element.indent
        return RichText(
            "\n".join(pad + row for row in printable(element.text, newlines=True).split("\n")),
            style=_STYLES[element.style],
        )
    return _text(element)


class _Fitted:
    """A table that is fitted to the width of the terminal when it is drawn."""

    def __init__(self, element: Table) -> None:
        self._element = element

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield _table(self._element, options.max_width)


def _table(element: Table, room: int | None) -> RenderableType:
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    declared = [c if isinstance(c, Column) else Column(c) for c in element.columns]
    cells = [[_text(cell) for cell in row] for row in element.rows]
    widths: dict[int, int | None] = dict.fromkeys(range(len(declared)))
    if room is not None:
        natural = [max(columns(c.title), *(row[i].cell_len for row in cells)) for i, c in enumerate(declared)]
        if sum(natural) + GAP * (len(natural) - 1) > room:
            filled = [i for i in widths if any(row[i].plain for row in cells)]
            declared = [declared[i] for i in filled]
            cells = [[row[i] for i in filled] for row in cells]
            natural = [natural[i] for i in filled]
        fitted = fit_columns(declared, natural, room)
        if fitted is None:
            return _stacked(declared, cells)
        widths = dict(fitted)
    table = RichTable(
        box=None,
        header_style="bold",
        pad_edge=False,
        padding=(0, GAP, 0, 0),
        show_header=any(c.title for c in declared),
    )
    for i, width in widths.items():
        column = declared[i]
        table.add_column(
            RichText(column.title),
            justify="right" if column.right else "left",
            no_wrap=not (column.fold and room is not None),
            overflow="fold" if column.fold else "ellipsis",
            max_width=width,
        )
    for row in cells:
        table.add_row(*(_tail(row[i], widths[i]) if declared[i].tail else row[i] for i in widths))
    return table


def _tail(cell: RichText, width: int | None) -> RichText:
    """The end of an id that does not fit, after `…`."""
    from rich.text import Text as RichText

    if width is None or cell.cell_len <= width:
        return cell
    return RichText("…" + cell.plain[1 - width :], style=cell.style)


def _stacked(declared: Sequence[Column], cells: Sequence[Sequence[RichText]]) -> RenderableType:
    """A table for which the terminal is too narrow: each row as lines of title and value, so that no value is lost."""
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    groups: list[RenderableType] = []
    for row in cells:
        grid = RichTable.grid(padding=(0, GAP, 0, 0))
        grid.add_column(style="bold", overflow="fold")
        grid.add_column(overflow="fold")
        for column, cell in zip(declared, row, strict=True):
            if not cell.plain:
                continue
            grid.add_row(RichText(column.title), cell)
        groups += [RichText(""), grid] if groups else [grid]
    return Group(*groups)
