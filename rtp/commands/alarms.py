"""rtp alarms."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from rtp.commands import completion
from rtp.commands.options import Since, new_app, with_session
from rtp.commands.session import Session
from rtp.errors import UsageError
from rtp.text import times
from rtp.text.elements import Cell, Column, Element, Heading, Line, Style, Table, Text, dim, line, strong

if TYPE_CHECKING:
    from rtp.contract import Alarm
    from rtp.ops.telemetry import alarms as op

app = new_app()

_STATES = {"OK": Style.GOOD, "ALARM": Style.BAD, "INSUFFICIENT_DATA": Style.DIM}
_WORDS = {"INSUFFICIENT_DATA": "NO DATA"}


@app.command()
@with_session
def alarms(
    session: Session,
    only: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ALARM]...", help="Such as dlq-messages.", autocompletion=completion.alarms),
    ] = None,
    *,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Maximum number of state changes.")] = 20,
) -> None:
    """Show alarms, their states and reasons.

    Firing alarms come first; the state changes of all alarms follow.
    """
    from rtp.ops.telemetry import alarms as op

    chosen = [_chosen(name) for name in only or ()]
    names = session.environment.names
    _ = session.outputs_to_read  # raises where there is no stack
    found = op.read(
        session.aws, names, since=times.parse_when(since or "1d", option="--since"), limit=limit, only=chosen
    )
    session.out.result(found, lambda f: _render(f, names.stack, session.environment.name))


def _chosen(name: str) -> Alarm:
    from rtp.contract import Alarm

    try:
        return Alarm(name)
    except ValueError:
        near = difflib.get_close_matches(name, list(Alarm))
        meant = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"{name!r} is not an alarm.{meant}", hint=f"Use one of {', '.join(Alarm)}.") from None


def _render(found: op.Alarms, stack: str, env: str) -> list[Element]:
    from rtp.commands.render.headings import count, heading
    from rtp.ops.telemetry.alarm_words import explained, measured

    if not found.alarms:
        return [line(dim("no alarms"))]
    firing = sum(alarm.state == "ALARM" for alarm in found.alarms)
    elements: list[Element] = [heading("alarms", env, count(len(found.alarms)), f"{firing} firing" if firing else "")]
    for alarm in found.alarms:
        since = dim(f"  for {times.ago(times.ms(alarm.since))}") if alarm.since else ""
        muted = Text("  muted", Style.WARN) if alarm.muted else ""
        elements.append(line(_state(alarm.state, 8), strong(_short(alarm.name, stack)), since, muted))
        if alarm.state == "ALARM":
            elements.append(line(explained(_short(alarm.name, stack), alarm.reason, alarm.period_s), indent=8))
            metric = measured(alarm.metric, alarm.period_s, alarm.periods)
            elements += [line(dim(text), indent=8) for text in (metric, alarm.description) if text]
    periods = {alarm.name: alarm.period_s for alarm in found.alarms}
    rows: list[list[Cell]] = [
        [
            times.recent(times.ms(t.at)),
            _short(t.alarm, stack),
            _change(t.before, t.after),
            dim(explained(_short(t.alarm, stack), t.reason, periods.get(t.alarm, 0))),
        ]
        for t in found.history
    ]
    columns = (
        Column("TIME", whole=True),
        Column("ALARM", whole=True),
        Column("CHANGE", whole=True, drop=2),
        Column("REASON", long=True, drop=1),
    )
    elements += [Heading("Changes"), Table(columns, rows, empty="none in this time")]
    more = f"there are more than these {len(rows):,}; raise --limit or narrow --since"
    return [*elements, line(dim(more))] if found.more else elements


def _change(before: str, after: str) -> Line:
    return line(_state(before), dim(" → "), _state(after))


def _state(state: str, width: int = 0) -> Text:
    return Text(_WORDS.get(state, state).ljust(width), _STATES.get(state, Style.PLAIN))


def _short(alarm: str, stack: str) -> str:
    return alarm.removeprefix(f"{stack}-")
