"""rtp local: the embedded engine of this project folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands.options import Yes, new_app, with_session
from rtp.commands.reader import end_with_reader
from rtp.commands.session import Session
from rtp.contract import MAX_SAVE_EVERY_S, MAX_SEED
from rtp.errors import ConfigError, RefusedError, UsageError
from rtp.text import suggest
from rtp.text.elements import Element, command, line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO

    from rtp.local import engine
    from rtp.local.weather.choice import Weather

app = new_app(no_args_is_help=True, help="Start, stop and inspect the embedded AWS engine.")

_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the engine's own log."""

    message: str


def _effects_that_begin_with(incomplete: str) -> list[str]:
    """Completions of the last name of a list."""
    from rtp.local.weather.catalogue import EFFECTS

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{kind.name}" for kind in EFFECTS if kind.name.startswith(last)]


@app.command()
@with_session
def start(
    session: Session,
    *,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port; by default the last one, 4566 or a free one."),
    ] = None,
    weather: Annotated[
        bool | None,
        typer.Option(
            "--weather/--no-weather",
            help="Answer as AWS does on a bad day: throttling, lost connections, late and partial answers.",
            show_default=False,
        ),
    ] = None,
    effects: Annotated[
        str | None,
        typer.Option(
            "--weather-effects",
            metavar="NAME,NAME",
            help="Only these effects of the weather; implies --weather. docs/local.md lists them.",
            autocompletion=_effects_that_begin_with,
        ),
    ] = None,
    save_every: Annotated[
        int | None,
        typer.Option(
            "--save-every",
            metavar="S",
            min=0,
            max=MAX_SAVE_EVERY_S,
            help="Seconds between saves, so that a kill loses no more (default: 30); 0: save at a stop alone.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Argument(metavar="SEED", min=0, max=MAX_SEED, help="Seed of --weather; without it a new one is drawn."),
    ] = None,
) -> None:
    """Start the engine, unless it runs already.

    With `enforce_iam = true` under [env.local] it enforces permissions; `save_every_s` is the default of --save-every.
    """
    from rtp.commands.render.engine import render, report
    from rtp.local import engine

    root = session.environment.root
    chosen = _weather(session, weather, effects, seed)
    environment = session.environment
    running = engine.start(
        root,
        port=port,
        weather=chosen,
        enforce_iam=environment.enforce_iam,
        save_every_s=environment.save_every_s if save_every is None else save_every,
    )
    if save_every is not None:
        _check_saves(running, save_every)
    if weather is not None or effects is not None:
        _check_weather(running, chosen, seed)
    if running.loss:
        session.out.warn(running.loss)
    session.out.result(report(engine.status(root), data_lost=running.data_lost, loss=running.loss), render)


@app.command()
@with_session
def stop(session: Session) -> None:
    """Stop the engine; its data is saved for the next start.

    An engine that does not react is killed, and the next start restores its last save.
    """
    from rtp.commands.render.engine import render, report
    from rtp.local import engine

    root = session.environment.root
    before = engine.status(root)
    stopped = engine.stop(root)
    loss = stopped.loss if stopped else before.loss
    if loss:
        session.out.warn(loss)
    elif not stopped:
        session.out.say("The engine was not running.")
    data_lost = before.state == "killed" or bool(stopped and stopped.loss)
    session.out.result(report(engine.status(root), data_lost=data_lost, loss=loss), render)


@app.command()
@with_session
def status(session: Session) -> None:
    """Show whether and where the engine runs. Exits 1 if it was killed, does not answer or is not visible from here."""
    from rtp.commands.render.engine import render, report
    from rtp.local import engine

    current = engine.status(session.environment.root)
    session.out.result(report(current), render)
    if current.state in ("killed", "elsewhere") or (current.running and not current.answers):
        raise typer.Exit(1)


@app.command()
@with_session
def reset(session: Session, *, yes: Yes = False) -> None:
    """Delete all data of the engine; a running engine keeps running, empty."""
    from rtp.commands.render.engine import render, report
    from rtp.local import engine

    root = session.environment.root
    session.out.confirm(f"Delete all data of the local engine in {engine.status(root).folder}?", yes=yes)
    engine.reset(root)
    session.out.say("All data is deleted.")
    session.out.result(report(engine.status(root)), render)


@app.command()
@with_session
def logs(
    session: Session,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new lines until interrupted.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Number of last lines to print first.")] = 50,
) -> None:
    """Show the log of the engine itself; `rtp logs` shows those of the functions."""
    from rtp.local import engine

    if follow:
        end_with_reader()
    for text in _tail(engine.status(session.environment.root).log_file, lines, follow=follow):
        session.out.event("engine-log", LogLine(text), lambda entry: entry.message)


@app.command()
@with_session
def env(session: Session) -> None:
    """Print the variables that other tools need to use the engine, access key included: eval "$(rtp local env)"."""
    from rtp.local import engine

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


def _weather(session: Session, weather: bool | None, effects: str | None, seed: int | None) -> Weather | None:
    """The weather by the options, else by rtp.toml. Raises UsageError."""
    from rtp.local.weather.choice import Weather

    if weather is False and effects is not None:
        raise UsageError("--weather-effects and --no-weather exclude each other.")
    if not weather and effects is None:
        if seed is not None:
            raise UsageError(
                f"{seed} is the seed of a weather, but --weather is not given.",
                hint=suggest.sentence("Run {}.", suggest.command("rtp", "local", "start", "--weather", values=[seed])),
            )
        return session.weather if weather is None else None
    names = session.environment.weather_effects if effects is None else effects.replace(" ", "").strip(",").split(",")
    return Weather.of(seed, names)


def _check_weather(running: engine.Engine, chosen: Weather | None, seed: int | None) -> None:
    """Raises RefusedError if the engine ran already, with other weather than the options ask for."""
    actual = running.weather
    same_effects = (actual and actual.effects) == (chosen and chosen.effects)
    if same_effects and (seed is None or actual == chosen):
        return
    raise RefusedError(
        f"The local engine already runs, {_described(actual)}.",
        hint="Run `rtp local stop` first.",
        code="other-weather",
    )


def _check_saves(running: engine.Engine, save_every: int) -> None:
    """Raises RefusedError if the engine ran already and saves at other times."""
    from rtp.commands.render.engine import frequency

    if running.save_every_s != save_every:
        raise RefusedError(
            f"The local engine already runs and saves {frequency(running.save_every_s)}.",
            hint=suggest.sentence(
                "Run `rtp local stop`, which keeps its data, then {}.",
                suggest.command("rtp", "local", "start", save_every=save_every),
            ),
            code="other-saves",
        )


def _described(weather: Weather | None) -> str:
    return f"with weather of {weather}" if weather else "without weather"


def _render_exports(variables: dict[str, str]) -> list[Element]:
    lines = [suggest.assignment(key, value) for key, value in variables.items()]
    if None in lines:
        raise ConfigError("A value cannot be pasted into a shell.", hint="Use `rtp local env --json`.")
    # Each ends with a semicolon: an eval without quotes reads them as one line.
    return ["unset AWS_PROFILE AWS_SESSION_TOKEN;", *(line(command(text), ";") for text in lines if text)]


def _tail(path: Path, count: int, *, follow: bool) -> Iterator[str]:
    """The last lines of a file, then new ones as they are written; follows a rotation to the new file."""
    from rtp.ops.work.clock import SYSTEM

    if not path.exists() and not follow:
        return
    while not path.exists():
        SYSTEM.sleep(_POLL_S)
    file = path.open(errors="replace")
    try:
        last = file.read().splitlines()
        yield from last[len(last) - min(count, len(last)) :]
        while follow:
            new = file.readline()
            if new:
                yield new.rstrip("\n")
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
