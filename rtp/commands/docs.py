"""rtp docs.

It has no --json: a page is text, which a pipe gets as Markdown.
"""

from __future__ import annotations

from typing import Annotated

import typer

from rtp.commands.options import new_app
from rtp.ops import manual
from rtp.text import suggest
from rtp.text.elements import Column, Element, Heading, Table, Text, name, next_step

app = new_app()


def _topics(incomplete: str) -> list[tuple[str, str]]:
    """Completions: the pages, and the error codes of which the beginning was typed."""
    pages = [(topic, page.summary) for topic, page in manual.PAGES.items() if topic.startswith(incomplete)]
    codes = [code for code in manual.error_codes() if incomplete and code.startswith(incomplete)]
    return pages + [(code, "error code") for code in codes]


@app.command()
def show(
    topic: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOPIC]", help="A page, or the code of an error such as wrong-account.", autocompletion=_topics
        ),
    ] = None,
) -> None:
    """Show a page of the manual, or the entry of an error code; without TOPIC, list the pages.

    A pipe gets the page as Markdown.
    """
    from rtp.terminal.output import Output

    if topic is None:
        Output().show(_list())
    else:
        Output().page(manual.text(topic))


def _list() -> list[Element]:
    elements: list[Element] = []
    width = max(map(len, manual.PAGES))
    for kind in manual.Kind:
        rows = [(name(topic.ljust(width)), Text(p.summary)) for topic, p in manual.PAGES.items() if p.kind is kind]
        elements += [Heading(kind.value), Table([Column("", whole=True), Column("", fold=True)], rows)]
    return [*elements, "", *next_step("next  ", suggest.literal("rtp docs tutorial"))]
