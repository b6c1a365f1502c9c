"""rtp local: the embedded engine of this project folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.reader import end_with_reader
from rtp.commands.session import Session
from rtp.errors import ConfigError
from rtp.local import engine, losses
from rtp.ops.work.clock import SYSTEM
from rtp.text import suggest
from rtp.text.elements import Element, Fields, Line, advice, bad, command, good, line, name, warn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

app = new_app(no_args_is_help=True, help="Start, stop and inspect the embedded AWS engine.")

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class EngineReport:
    """The engine as people and scripts see it, without its token and its key.

    state: running, stopped, killed, or elsewhere: served by a process that cannot be seen from here.
    endpoint_url, port, pid: of the running engine; null where none runs. answers: whether it answers requests.
    folder: where its data is. log_file: its own log. data_lost: whether data was lost since the last save.
    copied: whether the folder was copied from one whose engine was running.
    saved: when the last save was made, ISO 8601. loss: what its data lacks, in words; empty where nothing is lost.
    """

    state: str
    endpoint_url: str | None
    port: int | None
    pid: int | None
    answers: bool
    folder: str
    log_file: str
    data_lost: bool = False
    copied: bool = False
    saved: str | None = None
    loss: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the engine's own log."""

    message: str


@app.command()
@with_session
def start(
    session: Session,
    *,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="This port; else the last one, 4566 or a free one.")
    ] = None,
) -> None:
    """Start the engine, or find the one that runs."""
    root = session.environment.root
    running = engine.start(root, port=port)
    if running.loss:
        session.out.warn(running.loss)
    session.out.result(_report(engine.status(root), data_lost=running.data_lost, loss=running.loss), _render)


@app.command()
@with_session
def stop(session: Session) -> None:
    """Stop the engine; its data stays for the next start.

    One that does not react is ended by force, and the next start goes back to its last save.
    """
    root = session.environment.root
    before = engine.status(root)
    stopped = engine.stop(root)
    loss = stopped.loss if stopped else before.loss
    if loss:
        session.out.warn(loss)
    elif not stopped:
        session.out.say("the engine was not running")
    lost = before.state == "killed" or bool(stopped and stopped.loss)
    session.out.result(_report(engine.status(root), data_lost=lost, loss=loss), _render)


@app.command()
@with_session
def status(session: Session) -> None:
    """Show whether the engine runs and where; exit 1 when it was killed, does not answer or cannot be seen."""
    found = engine.status(session.environment.root)
    session.out.result(_report(found), _render)
    if found.state in ("killed", "elsewhere") or (found.running and not found.answers):
        raise typer.Exit(1)


@app.command()
@with_session
def reset(session: Session, *, yes: Yes = False) -> None:
    """Forget everything the engine holds; a running one goes on, empty."""
    root = session.environment.root
    session.out.confirm(f"Forget all data of the local engine in {engine.status(root).folder}?", yes=yes)
    engine.reset(root)
    session.out.say("all data is forgotten")
    session.out.result(_report(engine.status(root)), _render)


@app.command()
@with_session
def logs(
    session: Session,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until interrupted.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many of the last lines first.")] = 50,
) -> None:
    """Show what the engine itself logs, not the functions in it."""
    if follow:
        end_with_reader()
    for text in _tail(engine.status(session.environment.root).log_file, lines, follow=follow):
        session.out.event("engine-log", LogLine(text), lambda entry: entry.message)


@app.command()
@with_session
def env(session: Session) -> None:
    """Print what other tools need to reach the engine, its access key included: eval "$(rtp local env)"."""
    running = engine.require(session.environment.root)
    region = session.environment.region
    variables = {
        "AWS_ENDPOINT_URL": running.endpoint_url,
        "AWS_ACCESS_KEY_ID": running.keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": running.keys.secret_access_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }
    session.out.result(variables, _render_exports)


def _report(found: engine.EngineStatus, *, data_lost: bool = False, loss: str = "") -> EngineReport:
    running = found.engine
    return EngineReport(
        state=found.state,
        endpoint_url=running.endpoint_url if running else None,
        port=running.port if running else None,
        pid=running.pid if running else None,
        answers=found.answers,
        folder=str(found.folder),
        log_file=str(found.log_file),
        data_lost=data_lost,
        copied=found.copied,
        saved=found.saved,
        loss=loss or found.loss,
    )


def _render(report: EngineReport) -> list[Element]:
    if report.state == "stopped" and report.copied:
        return [advice(f"the engine is not running: {report.loss}"), advice(losses.restart(report.saved))]
    if report.state == "elsewhere":
        return [
            line("the engine runs elsewhere, such as in another container: a process that cannot be seen from here")
        ]
    if report.state == "stopped":
        return [advice("the engine is stopped; start it with `rtp local start`")]
    if report.state == "killed":
        return [
            Line((bad("killed"),)),
            line(report.loss),
            advice(losses.restart(report.saved)),
        ]
    return [
        Fields(
            (
                ("State", Line((good("running"),) if report.answers else (warn("running, but does not answer"),))),
                ("Endpoint", Line((name(str(report.endpoint_url)),))),
                ("Process", report.pid),
                ("Folder", report.folder),
                ("Saved", losses.when(report.saved) if report.saved else "not yet; a stop saves"),
                ("Log", report.log_file),
            )
        )
    ]


def _render_exports(variables: dict[str, str]) -> list[Element]:
    lines = [suggest.assignment(key, value) for key, value in variables.items()]
    if None in lines:
        raise ConfigError("A value of the engine's cannot be given to a shell.", hint="`rtp local env --json` has it.")
    # Each ends with a semicolon: an eval without quotes reads them as one line.
    return ["unset AWS_PROFILE AWS_SESSION_TOKEN;", *(line(command(text), ";") for text in lines if text)]


def _tail(path: Path, count: int, *, follow: bool) -> Iterator[str]:
    """The last lines of a file, then new ones as they come; goes on with the new file after a rotation."""
    if not path.exists() and not follow:
        return
    while not path.exists():
        SYSTEM.sleep(_POLL_S)
    file = path.open(errors="replace")
    try:
        last = file.read().splitlines()
        yield from last[len(last) - min(count, len(last)) :]
        while follow:
            fresh = file.readline()
            if fresh:
                yield fresh.rstrip("\n")
            elif _rotated(file, path):
                file.close()
                file = path.open(errors="replace")
            else:
                SYSTEM.sleep(_POLL_S)
    finally:
        file.close()


def _rotated(file: TextIO, path: Path) -> bool:
    import os

    try:
        return os.fstat(file.fileno()).st_ino != path.stat().st_ino
    except FileNotFoundError:
        return False
