"""Options that many commands share, and the decorator that gives a command the common ones."""

from __future__ import annotations

import functools
import inspect
import typing
from typing import Annotated, Any

import typer

from rtp.commands.session import Session

if typing.TYPE_CHECKING:
    from collections.abc import Callable

_WHERE = "Where"
_OUTPUT = "Output"

EnvName = Annotated[
    str | None,
    typer.Option("--env", "-e", help="Environment; else RTP_ENV, default_env, local.", rich_help_panel=_WHERE),
]
Profile = Annotated[str | None, typer.Option("--profile", help="AWS profile.", rich_help_panel=_WHERE)]
Region = Annotated[str | None, typer.Option("--region", help="AWS region.", rich_help_panel=_WHERE)]
EndpointUrl = Annotated[
    str | None, typer.Option("--endpoint-url", help="Another AWS endpoint.", rich_help_panel=_WHERE)
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.", rich_help_panel=_OUTPUT)]
Query = Annotated[
    str | None, typer.Option("--query", help="JMESPath over the JSON; implies --json.", rich_help_panel=_OUTPUT)
]


def new_app(**options: Any) -> typer.Typer:
    """The app of a command module, without the options that belong to the root alone."""
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Since = Annotated[
    str | None, typer.Option("--since", "-s", help="From: 5m, 1h30m, '10m ago', ISO 8601 or epoch.", metavar="TIME")
]
Until = Annotated[str | None, typer.Option("--until", help="To, written like --since.", metavar="TIME")]

_COMMON = {
    "env": EnvName,
    "profile": Profile,
    "region": Region,
    "endpoint_url": EndpointUrl,
    "json": Json,
    "query": Query,
}


def with_session(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes a Session first the common options, and a Session made of them.

    Typer reads the wrapper's signature, so every such command has the same six options and cannot forget one.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        from rtp.config import Overrides
        from rtp.terminal.output import Output

        where = {name: given.pop(name) for name in ("env", "profile", "region", "endpoint_url")}
        overrides = Overrides(**where)
        out = Output(
            json=given.pop("json"),
            query=given.pop("query"),
            where={name.replace("_", "-"): value for name, value in where.items()},
        )
        command(Session(overrides, out), **given)

    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False if name == "json" else None)
        for name in _COMMON
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + extra
    annotations = {p.name: hints[p.name] for p in own} | _COMMON
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [p.replace(annotation=annotations[p.name]) for p in parameters]
    )
    run.__annotations__ = annotations
    del run.__wrapped__
    return run
