"""rtp docs.

It has no --json: a page is text, which a pipe gets as Markdown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import new_app
from rtp.text import suggest
from rtp.text.elements import Column, Element, Heading, Table, Text, dim, line, name, next_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.manual_search import Found

app = new_app()

_MOST = 8  # sections that a search lists


def _topics(incomplete: str) -> list[tuple[str, str]]:
    """Completions: the pages, and the error codes of which the beginning was typed."""
    from rtp.ops import manual

    pages = [(topic, page.summary) for topic, page in manual.PAGES.items() if topic.startswith(incomplete)]
    codes = [code for code in manual.error_codes() if incomplete and code.startswith(incomplete)]
    return pages + [(code, "error code") for code in codes]


@app.command()
def show(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC]...",
            help="A page, the code of an error such as wrong-account, or words to find.",
            autocompletion=_topics,
        ),
    ] = None,
) -> None:
    """Show a page of the manual, or the entry of an error code; without TOPIC, list the pages.

    Other words, such as `table throttles`, list the sections that have them. A pipe gets a page as Markdown.
    """
    from rtp.ops import manual, manual_search
    from rtp.terminal.output import Output

    if not words:
        Output().show(_list())
        return
    topic = " ".join(words)
    found = [] if manual.is_entry(topic) else manual_search.find(topic.split())
    if found:
        Output().show(_found(found))
    else:
        Output().page(manual.text(topic))


def _found(found: Sequence[Found]) -> list[Element]:
    """Where words stand in the manual: page and section, and the text there."""
    elements: list[Element] = []
    for hit in found[:_MOST]:
        elements.append(line(name(hit.topic), f"  {hit.title}"))
        elements += [line(dim(hit.excerpt), indent=4)] if hit.excerpt else []
    elements += [dim(f"and {len(found) - _MOST} more: give more words")] if len(found) > _MOST else []
    return [*elements, "", *next_step("next  ", suggest.command("rtp", "docs", values=(found[0].topic,)))]


def _list() -> list[Element]:
    from rtp.ops import manual

    elements: list[Element] = []
    width = max(map(len, manual.PAGES))
    for kind in manual.Kind:
        rows = [(name(topic.ljust(width)), Text(p.summary)) for topic, p in manual.PAGES.items() if p.kind is kind]
        elements += [Heading(kind.value), Table([Column("", whole=True), Column("", fold=True)], rows)]
    return [*elements, "", *next_step("next  ", suggest.literal("rtp docs tutorial"))]
