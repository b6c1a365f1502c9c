"""Draw a page of the manual on a terminal: rich's Markdown with headings, tables and code as rtp draws them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from rtp.terminal.columns import GAP
from rtp.text import suggest
from rtp.text.sanitize import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.text import Text as RichText

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```[ \t]*$\n?", re.MULTILINE | re.DOTALL)
_HIDDEN = re.compile(r"<!--.*?-->\n?|<picture>.*?</picture>\n?|^!\[[^\]]*\]\([^)]*\)\n?", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!\\)\[(?P<text>[^\]\[]+)(?<!\\)\]\((?P<target>[^)\s]+)\)")  # no brackets after a backslash
_WIDTH = 100  # longer lines of prose are hard to read
_CROWDED = 3  # a row of a table that fills so many lines of the page is hard to read in columns
_NARROW = 14  # a table's column below this width is harder to read than lines of title and value


class Part(NamedTuple):
    """A part of a page. code: its lines are not broken, so that a command can be pasted from a narrow terminal."""

    drawn: RenderableType
    code: bool


def parts(page: str) -> Iterator[Part]:
    """The parts of a page of Markdown, in order."""
    text, end = printable(_HIDDEN.sub("", page), newlines=True), 0
    for fence in _FENCE.finditer(text):
        yield from _prose(text[end : fence.start()])
        yield Part(_code(fence["code"]), True)
        end = fence.end()
    yield from _prose(text[end:])


def _prose(text: str) -> Iterator[Part]:
    if text.strip():
        yield Part(_markdown(_LINK.sub(_destination, text)), False)


def _destination(link: re.Match[str]) -> str:
    """The text of a link with what leads there: a command for a page, the address for a site."""
    text, target = link["text"], link["target"]
    if "://" in target:
        return f"{text} <{target}>"
    page, _, _ = target.partition("#")
    shown = suggest.command("rtp", "docs", values=[page.removesuffix(".md")])
    is_page = page.endswith(".md") and "/" not in page
    return text if not is_page else f"`{shown}`" if text == page else f"{text} (`{shown}`)"


def _code(code: str) -> RichText:
    from rich.text import Text as RichText

    drawn = RichText()
    for row in code.rstrip("\n").split("\n"):
        is_command = row.startswith("$ ")
        drawn.append("  $ " if is_command else "  ", style="dim")
        drawn.append(f"{row.removeprefix('$ ')}\n", style="cyan" if is_command else "")
    return drawn


def _markdown(text: str) -> RenderableType:
    from rich.markdown import Heading, Markdown, TableElement
    from rich.measure import Measurement
    from rich.style import Style
    from rich.table import Table as RichTable
    from rich.text import Text as RichText
    from rich.theme import Theme

    class Title(Heading):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
            yield RichText.assemble(("" if self.tag == "h1" else "\n"), self.text)

    class Rows(TableElement):
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
            titles = [cell.content for cell in self.header.row.cells] if self.header and self.header.row else []
            rows = [[cell.content for cell in row.cells] for row in self.body.rows] if self.body else []
            columns = list(zip(*([titles, *rows]), strict=False))
            measures = [[Measurement.get(console, options, cell) for cell in column] for column in columns]
            needed = sum(min(max(m.maximum for m in column), _NARROW) + GAP for column in measures) - GAP
            longest = sum(max(min(m.minimum, _NARROW) for m in column) + GAP for column in measures) - GAP
            fullest = max((sum(cell.cell_len for cell in row) for row in rows), default=0)
            is_crowded = len(titles) > 2 and fullest > _CROWDED * options.max_width
            if is_crowded or max(needed, longest) > options.max_width:
                yield from _stacked(titles, rows)
                return
            table = RichTable(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
            for title in titles:
                table.add_column(title, overflow="fold")
            for row in rows:
                table.add_row(*row)
            yield table

    class Prose(Markdown):
        elements = Markdown.elements | {"heading_open": Title, "table_open": Rows}

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            styles = {"markdown.h1": "bold", "markdown.h2": "bold", "markdown.h3": "bold", "markdown.code": "cyan"}
            with console.use_theme(Theme({name: Style.parse(style) for name, style in styles.items()})):
                yield from super().__rich_console__(console, options.update(width=min(options.max_width, _WIDTH)))

    return Prose(text, hyperlinks=False)


def _stacked(titles: list[RichText], rows: list[list[RichText]]) -> Iterator[RenderableType]:
    """A table that is too wide for the terminal, or too full: each row as lines of title and value."""
    from rich.padding import Padding
    from rich.table import Table as RichTable

    for row in rows:
        grid = RichTable.grid(padding=(0, GAP, 0, 0))
        grid.add_column(style="dim", overflow="fold")
        grid.add_column(overflow="fold")
        for title, cell in zip(titles, row, strict=False):
            if cell.plain.strip():
                grid.add_row(title, cell)
        yield Padding(grid, (0, 0, 1, 0))
