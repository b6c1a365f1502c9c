"""The options --where, --until, --older-than, --count and --by of the lists of records and of DLQ messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import option_group
from rtp.text import times
from rtp.text.elements import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rtp.ops.events.tally import Tally
    from rtp.text import queries
    from rtp.text.elements import Element

ErrorText = Annotated[str | None, typer.Option("--error", metavar="TEXT", help="Only errors that contain this text.")]
Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        metavar="ID",
        help="Only failures of this group; the first digits of its id are enough. `rtp triage` lists the groups.",
    ),
]
Where = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="JMESPATH",
        help='Only those for whose JSON this expression is true, such as "data.total > `100`".',
    ),
]
Release = Annotated[
    str | None,
    typer.Option(
        "--release", metavar="RELEASE", help="Only what this release ran: r42, its hash, or a beginning of the hash."
    ),
]
OlderThan = Annotated[
    str | None, typer.Option("--older-than", metavar="TIME", help="Only those older than this, such as 3h.")
]


@option_group
class CountOptions:
    """Whether to count instead of listing."""

    counts: Annotated[
        bool, typer.Option("--count", help="Print how many match instead of the list; reads all, whatever --limit is.")
    ] = False
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="FIELD",
            help="Print how many have each value of this field, such as type or error.type; reads all.",
        ),
    ] = None

    @property
    def given(self) -> bool:
        """Whether counts are asked for."""
        return self.counts or self.by is not None

    def expression(self) -> queries.Expression | None:
        """The field to count by. Raises UsageError."""
        from rtp.text import queries

        return None if self.by is None else queries.compiled(self.by, option="--by")


def end(until: str | None, older_than: str | None, *, now: int | None = None) -> int | None:
    """The end of a list, epoch ms: of --until or --older-than, whichever is earlier. Raises UsageError."""
    now = times.now_ms() if now is None else now
    ends = [] if until is None else [times.parse_when(until, now=now, option="--until")]
    ends += [] if older_than is None else [now - times.parse_duration(older_than)]
    return min(ends, default=None)


def tally(result: Tally, what: str, env: str, filters: Sequence[str]) -> list[Element]:
    """The total, and a row per value."""
    from rtp.commands.render.headings import count, heading

    elements: list[Element] = [heading(what, env, count(result.total), filters)]
    if result.by is None:
        return elements
    columns = (Column("COUNT", right=True), Column(result.by.upper(), long=True))
    return [*elements, Table(columns, [(each.count, each.value) for each in result.counts])]
