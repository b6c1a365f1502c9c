"""rtp status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import new_app, with_session
from rtp.commands.reader import end_with_reader
from rtp.commands.session import Session
from rtp.errors import AwsError, CredentialsError, ExitCode, UsageError
from rtp.text import times
from rtp.text.elements import Element, dim, line, warn

if TYPE_CHECKING:
    from rtp.ops.telemetry import status as op
    from rtp.terminal.live import Live

app = new_app()


@app.command()
@with_session
def status(
    session: Session,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh the display until Ctrl-C.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 unless the pipeline is healthy; for monitoring.")
    ] = False,
    lose_within: Annotated[
        str | None,
        typer.Option(
            "--lose-within",
            metavar="TIME",
            help="Report a dead event whose message or raw event is lost within this time, such as 48h, as a problem.",
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option("--interval", min=0.5, metavar="S", help="Seconds between refreshes (default: 2; 10 on AWS)."),
    ] = None,
) -> None:
    """Show the state of the stack, endpoints, queues and alarms.

    Problems come first. A part that cannot be read is listed as not read.
    """
    from rtp.ops.stack.build import local_code
    from rtp.ops.telemetry import status as op

    if watch and check:
        raise UsageError("--watch and --check exclude each other: --watch never ends.", hint="Leave one of them out.")
    if watch:
        if lose_within is not None:
            raise UsageError("--watch and --lose-within exclude each other.", hint="Leave one of them out.")
        end_with_reader()
        _watch(session, interval or (2.0 if session.aws.local else 10.0))
        return
    within = None if lose_within is None else times.parse_duration(lose_within)
    code = local_code.read(session.environment)
    found = op.read(session.guarded, session.environment, lose_within_ms=within, local=code)
    session.out.result(found, _render)
    if check and not found.healthy:
        raise typer.Exit(ExitCode.FAILED)


def _watch(session: Session, interval: float) -> None:
    from rtp.ops.telemetry import status as op
    from rtp.ops.work.polling import every

    with session.out.live(data=True) as live:
        last: list[Element] = []
        for _ in every(interval):
            try:
                found = op.read(session.guarded, session.environment)
            except CredentialsError:
                raise
            except AwsError as error:
                _show(session, live, [*last, line(warn("retrying: "), error.message)])
            else:
                last = _render(found)
                if session.out.json:
                    session.out.event("status", found, _render)
                else:
                    _show(session, live, last)


def _show(session: Session, live: Live, shown: list[Element]) -> None:
    if live.visible:
        live.update([*shown, line(dim(f"{times.clock(times.now_ms())[:8]}  Ctrl-C ends"))])
    elif not session.out.json:
        session.out.show([*shown, ""])


def _render(found: op.Status) -> list[Element]:
    from rtp.commands.render.status import elements

    return elements(found, now=times.parse_when(found.at))
