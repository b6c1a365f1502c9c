"""The option groups of rtp dlq."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtp.commands import completion, count_options
from rtp.commands.count_options import ErrorText, Group, OlderThan, Release, Where
from rtp.commands.options import Since, Until, option_group
from rtp.errors import UsageError
from rtp.text import times

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.ops.dlq.filters import Filters
    from rtp.ops.dlq.redrive import RedriveRequest

_TEXTS = ("error", "group", "grep", "where", "release", "since", "until")
_LISTS = ("ids", "types")
WholeGroup = Annotated[
    str | None,
    typer.Option("--group", metavar="ID", help="Only failures of this group, by its whole id: see `rtp triage`."),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Maximum number of messages.")]


@option_group
class FilterOptions:
    """Which messages to show."""

    ids: Annotated[
        list[str] | None,
        typer.Option("--id", help="Only this event; repeatable.", autocompletion=completion.dead_ids),
    ] = None
    types: Annotated[
        list[str] | None,
        typer.Option("--type", help="Only this event type; repeatable.", autocompletion=completion.types),
    ] = None
    error: ErrorText = None
    group: Group = None
    grep: Annotated[
        str | None,
        typer.Option("--grep", metavar="REGEX", help="Only bodies that match this expression (RE2)."),
    ] = None
    where: Where = None
    release: Release = None
    since: Since = None
    until: Until = None
    older_than: OlderThan = None

    def described(self) -> list[str]:
        """The filters as the first line of a list shows them."""
        from rtp.commands.render.headings import window

        texts = [f"id {event_id}" for event_id in self.ids or ()]
        texts += [f"type {kind}" for kind in self.types or ()]
        texts += [f"error {self.error!r}"] if self.error is not None else []
        texts += [f"group {self.group}"] if self.group is not None else []
        texts += [f"matches {self.grep!r}"] if self.grep is not None else []
        texts += [f"where {self.where}"] if self.where is not None else []
        texts += [f"release {self.release}"] if self.release is not None else []
        until = count_options.end(self.until, self.older_than)
        if self.since:
            return [*texts, window(times.parse_when(self.since, option="--since"), until)]
        return texts if until is None else [*texts, f"until {times.minute(until)} {times.zone(until)}"]

    def filters(self) -> Filters:
        """The filters. Raises UsageError."""
        from rtp.ops import causes, releases
        from rtp.ops.dlq.filters import Filters
        from rtp.text import queries, regexes

        return Filters(
            ids=tuple(self.ids or ()),
            types=tuple(self.types or ()),
            error=self.error,
            group=None if self.group is None else causes.parsed(self.group),
            grep=None if self.grep is None else regexes.compiled(self.grep, option="--grep"),
            since=times.parse_when(self.since, option="--since") if self.since else None,
            until=count_options.end(self.until, self.older_than),
            where=None if self.where is None else queries.compiled(self.where, option="--where"),
            release=None if self.release is None else releases.parsed(self.release),
        )


@option_group
class Selection(FilterOptions):
    """Which messages to change: those that match the filters, or all where that is said."""

    group: WholeGroup = None
    every: Annotated[bool, typer.Option("--all", help="Every message.")] = False

    def options(self) -> dict[str, Any]:
        """What selects the messages, with times that stay the same, for a continuation on any machine."""
        until = count_options.end(self.until, self.older_than)
        since = None if self.since is None else times.iso(times.parse_when(self.since, option="--since"))
        given = asdict(self) | {
            "older_than": None,
            "since": since,
            "until": None if until is None else times.iso(until),
        }
        return {name: value for name, value in given.items() if value not in (None, False)}

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Selection:
        """The selection that a journal has. Raises UsageError where rtp did not write it."""
        texts = {name: options[name] for name in _TEXTS if isinstance(options.get(name), str)}
        lists = {name: options[name] for name in _LISTS if isinstance(options.get(name), list)}
        lists = {name: value for name, value in lists.items() if all(isinstance(text, str) for text in value)}
        every = options.get("every") is True
        if unknown := options.keys() - texts.keys() - lists.keys() - {"every", "limit"}:
            raise UsageError(
                f"The journal of that run has options that this rtp does not know: {', '.join(sorted(unknown))}.",
                hint="Continue it with the version of rtp that began it.",
            )
        return replace(cls(every=every), **texts, **lists)

    def filters(self) -> Filters:
        """The filters. Raises UsageError where nothing is selected, or both --all and a filter."""
        from rtp.ops import causes

        cut = next((event_id for event_id in self.ids or () if "…" in event_id), None)
        if cut is not None:
            hint = "Give the whole id: `rtp dlq inspect --wide` shows it."
            raise UsageError(
                f"{cut} is a part of an id, and a command that changes messages takes whole ids.", hint=hint
            )
        filters = FilterOptions.filters(self)
        if filters.group is not None and not causes.is_whole(filters.group):
            raise UsageError(
                f"{filters.group} is a part of a group's id, and a command that changes messages takes whole ids.",
                hint="Give the whole id: `rtp triage` shows it.",
            )
        if self.every and not filters.is_empty:
            raise UsageError("--all and filters exclude each other.", hint="Leave one of them out.")
        if not self.every and filters.is_empty:
            raise UsageError(
                "Select messages with --all, --id, --type, --error, --group, --grep, --where, --release, --since, "
                "--until or --older-than.",
                hint="`rtp dlq inspect` lists them.",
            )
        return filters


@option_group
class RedriveOptions:
    """How to redrive the selected messages."""

    limit: Limit = None
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, metavar="N", help="Maximum number of messages per second.")
    ] = None
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be redriven; change nothing.")] = False
    run: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Continue a redrive that was stopped or killed, also another machine's: redrive the rest of it.",
            autocompletion=completion.dlq_runs,
        ),
    ] = None
    edit: Annotated[bool, typer.Option("--edit", help="Edit the events in $EDITOR first.")] = False
    canary: Annotated[
        bool,
        typer.Option("--canary/--no-canary", help="Redrive one message first, the rest only if it is processed."),
    ] = True
    wait: Annotated[bool, typer.Option("--wait", help="Wait until each event is processed or dead.")] = False
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Maximum wait for --canary and for --wait.")
    ] = 120.0

    def request(self, filters: Filters) -> RedriveRequest:
        """The request that these options make."""
        from rtp.ops.dlq.redrive import RedriveRequest

        return RedriveRequest(
            filters=filters,
            limit=self.limit,
            rate=self.rate,
            canary=self.canary,
            wait=self.wait,
            timeout_s=self.timeout,
        )
