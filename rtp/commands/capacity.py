"""rtp capacity."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion
from rtp.commands.options import Since, new_app, option_group, with_session
from rtp.commands.session import Session
from rtp.errors import ExitCode, NotFoundError, RtpError, UsageError
from rtp.text import times

if TYPE_CHECKING:
    from rtp.ops.capacity.limits import Quotas
    from rtp.ops.capacity.load import Load
    from rtp.ops.capacity.measured import Measured

app = new_app()

_MOST_RATE = 1e9  # events a second
_MOST_KEYS = 10_000  # the quota of a region


class Via(StrEnum):
    """How events arrive."""

    EVENTS = "events"
    PROCESS = "process"
    QUEUE = "queue"


@option_group
class LoadOptions:
    """The load."""

    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.001, max=_MOST_RATE, help="Events per second at the busiest time. Default: 100."),
    ] = None
    average: Annotated[
        float | None,
        typer.Option(
            "--average", min=0, max=_MOST_RATE, help="Events per second over a month, for the cost. Default: the rate."
        ),
    ] = None
    size: Annotated[
        str | None, typer.Option("--size", metavar="SIZE", help="Size of an event's JSON text. Default: 1KB.")
    ] = None
    duration: Annotated[
        str | None,
        typer.Option("--duration", metavar="TIME", help="Time of the processor for one event. Default: 100ms."),
    ] = None
    failing: Annotated[
        str | None, typer.Option("--failing", metavar="SHARE", help="Share of the attempts that fail. Default: 0%.")
    ] = None
    via: Annotated[
        Via | None,
        typer.Option(
            "--via",
            help="events: by POST /events; process: by POST /process, which waits for the result; queue: directly. "
            "Default: events.",
        ),
    ] = None
    keys: Annotated[
        int, typer.Option("--keys", min=1, max=_MOST_KEYS, help="API keys among which the requests are spread.")
    ] = 1


@app.command()
@with_session
def capacity(
    session: Session,
    *,
    load_options: LoadOptions,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ENV",
            help="Take rate, size, duration and failures from the metrics of this running environment.",
            autocompletion=completion.environments,
        ),
    ] = None,
    since: Since = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use AWS's default quotas; do not read those of the account.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with code 1 if the rate does not fit.")] = False,
) -> None:
    """Show how many events a second fit, which limit is first, and what they cost.

    Settings are those of the environment in rtp.toml; it need not be deployed. Prices are those of us-east-1.
    """
    from rtp.commands.render import capacity as render
    from rtp.ops.capacity.facts import facts
    from rtp.ops.capacity.report import capacity as compute
    from rtp.ops.stack.build import limits

    if since is not None and source is None:
        raise UsageError("--since is the time of the metrics of --from.", hint="Add --from ENV.")
    environment = session.environment
    given = _given(load_options)
    metrics = None if source is None else _measured(session, source, since)
    sent = _load(given, metrics, load_options.keys, source)
    quotas, notes = _quotas(session, offline=offline)
    reserved = environment.settings.reserved_concurrency
    if reserved is None and environment.protected:
        reserved = limits.DEFAULT
    if environment.region != facts().region:
        notes.append(f"{environment.name} is in {environment.region}; the prices are those of {facts().region}.")
    result = compute(
        environment.name,
        environment.settings,
        sent,
        quotas=quotas,
        reserved=reserved,
        notes=[*measured_notes(metrics, given), *notes],
    )
    session.out.result(result, render.capacity)
    if check and not result.fits:
        raise typer.Exit(ExitCode.FAILED)


def _given(options: LoadOptions) -> dict[str, object]:
    """The values of the options that were given. Raises UsageError."""
    from rtp.ops.capacity import load

    values = {
        "rate": options.rate,
        "average": options.average,
        "size_bytes": None if options.size is None else load.size(options.size),
        "duration_ms": None if options.duration is None else float(times.parse_duration(options.duration)),
        "failing": None if options.failing is None else load.share(options.failing),
        "via": None if options.via is None else options.via.value,
    }
    return {name: value for name, value in values.items() if value is not None}


def _load(given: dict[str, object], metrics: Measured | None, keys: int, source: str | None) -> Load:
    """The load: what was given, what was measured, and defaults. Raises NotFoundError where no rate was measured."""
    from rtp.ops.capacity import load

    names = ("rate", "average", "size_bytes", "duration_ms", "failing", "via")
    values = {name: getattr(metrics, name) for name in names if getattr(metrics, name, None) is not None}
    if "rate" in given and "average" not in given:
        values.pop("average", None)  # of another rate
    values |= given
    if metrics is not None and "rate" not in values:
        raise NotFoundError(
            f"{source} has received no events in this time, so that there is no rate.",
            hint="Choose an earlier --since, or give --rate.",
        )
    values.setdefault("rate", 100.0)
    values.setdefault("average", values["rate"])
    return load.Load(keys=keys, **values)


def measured_notes(metrics: Measured | None, given: dict[str, object]) -> list[str]:
    """What the metrics did not have, and of when the rate is; not for what an option gives."""
    if metrics is None:
        return []
    missing = [note for name, note in metrics.missing.items() if name not in given]
    return missing if "rate" in given else [*missing, metrics.rate_note]


def _measured(session: Session, source: str, since: str | None) -> Measured:
    """The load of a running environment. Raises RtpError where it is not deployed or its metrics cannot be read."""
    from rtp.ops.capacity import measured

    running = Session(replace(session.overrides, env=source), session.out)
    _ = running.outputs_to_read  # raises where there is no stack
    until = times.now_ms() // 60_000 * 60
    begin = times.parse_when(since or "1h", option="--since") // 60_000 * 60
    if begin >= until:
        raise UsageError("--since is less than a minute ago.", hint="Metrics have a value a minute; go back further.")
    return measured.measure(running.aws, running.environment.names, since_s=begin, until_s=until)


def _quotas(session: Session, *, offline: bool) -> tuple[Quotas, list[str]]:
    """The account's quotas, or AWS's defaults with the reason."""
    from rtp.ops.capacity import account
    from rtp.ops.capacity.facts import facts
    from rtp.ops.capacity.limits import Quotas

    defaults = Quotas.defaults(facts())
    if offline or session.environment.local:
        return defaults, ["The quotas are AWS's defaults; those of an account may differ."]
    try:
        return account.read(session.guarded, facts())
    except RtpError as error:
        return defaults, [f"The quotas are AWS's defaults: the account's could not be read. {error.message}"]
