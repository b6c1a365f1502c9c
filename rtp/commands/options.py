"""Options that many commands share, and the decorator that adds the common ones to a command."""

from __future__ import annotations

import difflib
import functools
import inspect
import os
import time
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeVar

import typer

from rtp.commands import completion, engine_end
from rtp.commands.session import Session
from rtp.errors import AwsError, NotFoundError, UsageError
from rtp.terminal.parsers import CommandGroup, OneCommand

if typing.TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_WHERE = "Where"
_OUTPUT = "Output"

ProjectDir = Annotated[
    str | None,
    typer.Option(
        "--project-dir",
        "-C",
        metavar="DIR",
        help="Folder of the project. Default: RTP_PROJECT, then the current folder.",
        rich_help_panel=_WHERE,
    ),
]
EnvName = Annotated[
    str | None,
    typer.Option(
        "--env",
        "-e",
        help="Environment. Default: RTP_ENV, then default_env of rtp.toml, then local.",
        rich_help_panel=_WHERE,
        autocompletion=completion.environments,
    ),
]
Profile = Annotated[str | None, typer.Option("--profile", help="AWS profile to use.", rich_help_panel=_WHERE)]
Region = Annotated[str | None, typer.Option("--region", help="AWS region to use.", rich_help_panel=_WHERE)]
EndpointUrl = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url", help="URL of an AWS-compatible endpoint to use instead of AWS.", rich_help_panel=_WHERE
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.", rich_help_panel=_OUTPUT)]
Utc = Annotated[
    bool, typer.Option("--utc", help="Read and show times in UTC instead of local time.", rich_help_panel=_OUTPUT)
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="With --query: print strings without quotes, and the elements of a list a line each.",
        rich_help_panel=_OUTPUT,
    ),
]
Wide = Annotated[
    bool, typer.Option("--wide", help="Do not fit lists to the width of the terminal.", rich_help_panel=_OUTPUT)
]
Query = Annotated[
    str | None,
    typer.Option(
        "--query",
        help="Print what this JMESPath expression selects from the JSON; implies --json.",
        rich_help_panel=_OUTPUT,
    ),
]


class App(typer.Typer):
    """The app of a command module. Its commands draw their help as rtp does."""

    def command(self, name: str | None = None, **options: Any) -> Any:
        """Declare a command."""
        return super().command(name, **{"cls": OneCommand, **options})


def new_app(**options: Any) -> typer.Typer:
    """Make the app of a command module, without the options that only the root has."""
    return App(
        cls=options.pop("cls", CommandGroup),
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


class ListGroup(CommandGroup):
    """A command that lists, and whose subcommand `show` shows one: an id behind it needs no `show`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take a word that is no subcommand, nor a mistyped one, as the argument of `show`."""
        if args and not difflib.get_close_matches(args[0], self.commands):
            args = ["show", *args]
        return super().resolve_command(ctx, args)


Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        "-s",
        help="Start: an age (5m, 1h30m), a time of the day (23:40, yesterday, 'yesterday 23:40'), ISO 8601, an epoch "
        "time, or `deploy` for the last deploy.",
        metavar="TIME",
    ),
]
Until = Annotated[str | None, typer.Option("--until", help="End, in the same form as --since.", metavar="TIME")]

_COMMON = {
    "project_dir": ProjectDir,
    "env": EnvName,
    "profile": Profile,
    "region": Region,
    "endpoint_url": EndpointUrl,
    "json": Json,
    "query": Query,
    "raw": Raw,
    "wide": Wide,
    "utc": Utc,
}
_FLAGS = ("json", "raw", "wide", "utc")


@typing.dataclass_transform(frozen_default=True, kw_only_default=True)
def option_group(cls: type[_T]) -> type[_T]:
    """Make a class of options that belong together. `with_session` gives a command its parameters of such classes."""
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)


_MOST_FLOAT, _MOST_INT = 1e9, 2**53


def _check_number(name: str, value: object) -> None:
    """Refuse numbers that no option has a use for: NaN, which a range lets pass, and huge ones. Raises UsageError."""
    most = _MOST_FLOAT if isinstance(value, float) else _MOST_INT
    if isinstance(value, int | float) and not abs(value) <= most:
        option = f"--{name.replace('_', '-')}"
        raise UsageError(f"{option} is not a number up to {most:,.0f}.", hint="Give a smaller number.")


def with_session(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options to a command whose first parameter is a Session, and pass it that Session.

    Typer reads the signature of the wrapper, so every such command has the same options. The fields of an option
    group become options too.
    """
    from rtp.ops.work import waiting

    hints = typing.get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for parameter in list(inspect.signature(command).parameters.values())[1:]:
        hint = hints[parameter.name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[parameter.name] = hint
            parameters += _options_of(hint)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint))

    @functools.wraps(command)
    def run(**given: Any) -> None:
        from rtp.config import Overrides
        from rtp.ops import releases
        from rtp.terminal.layout import Layout
        from rtp.terminal.output import Output

        for name, value in given.items():
            _check_number(name, value)
        where = {name: given.pop(name) for name in ("project_dir", "env", "profile", "region", "endpoint_url")}
        overrides = Overrides(**where)
        raw = given.pop("raw")
        if raw and given["query"] is None:
            raise UsageError("--raw prints what --query selects.", hint="Add --query, such as --query 'records[].id'.")
        out = Output(
            json=given.pop("json"),
            query=given.pop("query"),
            layout=Layout(wide=given.pop("wide"), raw=raw),
            where={name.replace("_", "-"): value for name, value in where.items()},
        )
        if given.pop("utc"):
            os.environ["TZ"] = "UTC"
            time.tzset()
        session = Session(overrides, out)
        releases.use(session.release_names)
        try:
            with waiting.announced(session.unanswered, session.say_waiting):
                for name in ("since", "until"):
                    if str(given.get(name)).strip().lower() == "deploy":
                        given[name] = session.last_deploy
                for name, group in groups.items():
                    given[name] = group(**{option.name: given.pop(option.name) for option in fields(group)})
                command(session, **given)
        except KeyboardInterrupt:
            session.say_unanswered()
            raise typer.Abort from None  # typer itself would end without a word
        except NotFoundError as error:
            raise session.located(error) from error.__cause__
        except AwsError as error:  # its port may even have another engine by now, which knows no key of this one
            raise engine_end.ended(session.environment) or error from error

    parameters += [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False if name in _FLAGS else None, annotation=annotation
        )
        for name, annotation in _COMMON.items()
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__
    return run


def _options_of(group: type) -> list[inspect.Parameter]:
    """A parameter for each field of an option group."""
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if option.default is MISSING else option.default,
            annotation=hints[option.name],
        )
        for option in fields(group)
    ]
