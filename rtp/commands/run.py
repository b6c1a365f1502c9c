"""rtp run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import known_types
from rtp.commands.event_source import EventSource
from rtp.commands.options import new_app, option_group, with_session
from rtp.commands.session import Session
from rtp.errors import ExitCode, UsageError
from rtp.text.elements import Block, Element, Heading, Style, Text, bad, dim, line, name

if TYPE_CHECKING:
    from rtp.config import Environment
    from rtp.ops.events import run as op

app = new_app()

_STYLES = {"processed": Style.GOOD, "invalid": Style.BAD, "rejected": Style.WARN, "failed": Style.BAD}


@option_group
class OneEvent(EventSource):
    """Where one event is read from."""

    file: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="A file with one event; - is standard input.")
    ] = None


@app.command()
@with_session
def run(
    session: Session,
    *,
    source: OneEvent,
    attempt: Annotated[
        int, typer.Option("--attempt", min=1, metavar="N", help="Value of event.attempt for the processor.")
    ] = 1,
    var: Annotated[
        list[str] | None,
        typer.Option("--var", metavar="NAME=VALUE", help="An environment variable for the processor; repeatable."),
    ] = None,
    secrets_file: Annotated[
        Path | None,
        typer.Option(
            "--secrets-file",
            metavar="FILE",
            help="Values of secrets, as NAME=VALUE lines. Default: .env.local, if any.",
        ),
    ] = None,
) -> None:
    """Run one event through the processors in this process.

    Nothing is stored or sent, and secrets are not fetched. Start it under a debugger, or put breakpoint() into the
    processor.
    """
    from rtp.ops.events import run as op
    from rtp.ops.stack.build import processors

    events = source.payload()
    if len(events) != 1:
        raise UsageError(
            f"The input holds {len(events)} events, but `rtp run` takes one.", hint="`rtp send` takes many."
        )
    (event,) = events
    known_types.warn_unknown(session, source.kind)
    sources, variables = processors.sources_of(session.environment), processors.variables(session.environment)
    variables |= dict(_assigned(text) for text in var or ())
    secrets = _secrets(session.environment, secrets_file)
    result = op.run(sources, variables, event.body, secrets=secrets, attempt=attempt)
    session.out.result(result, _render)
    if result.outcome != "processed":
        raise typer.Exit(ExitCode.FAILED)


def _assigned(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not name or not mark:
        raise UsageError(f"--var takes NAME=VALUE, not {text!r}.")
    return name, value


def _secrets(environment: Environment, file: Path | None) -> dict[str, str]:
    """The declared secrets that the file has; those without a value fail where they are used."""
    from rtp.ops import envfile

    values = envfile.of_project(environment.root) if file is None else envfile.read(file)
    return {name: values[name] for name in environment.settings.secrets if name in values}


def _render(result: op.Run) -> list[Element]:
    from rtp.text import json_values

    by = f"by {result.processor}" if result.processor else "no processor: stored unchanged"
    outcome = Text(result.outcome, _STYLES[result.outcome])
    elements: list[Element] = [line(outcome, "  ", name(result.type), "  ", dim(by))]
    elements += [line(bad(e["path"]), f"  {e['message']}", indent=2) for e in result.errors]
    if result.error is not None:
        elements.append(Block(result.error.stack or f"{result.error.type}: {result.error.message}", indent=2))
    if result.result is not None:
        elements += [Heading("Result"), Block(json_values.dumps(result.result, indent=2), indent=2)]
    if result.emitted:
        elements += [Heading("Emitted"), Block(json_values.dumps(result.emitted, indent=2), indent=2)]
    return elements
