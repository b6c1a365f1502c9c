"""Log lines with others around them: neighbours of a match, and the lines of an event that failed."""

from __future__ import annotations

from typing import Any

import pytest

from rtp.commands.render import logs as render_logs
from rtp.errors import UsageError
from rtp.ops.telemetry import logs
from rtp.ops.telemetry.logevent import LogEvent
from rtp.ops.telemetry.logfilter import Filter, LogQuery
from rtp.ops.telemetry.surrounding import Errors
from rtp.text import regexes
from rtp.text.elements import HUES, Line, Style
from tests.unit.watch.fakes import OUTPUTS, START, WORKER, FakeLogs, Time


def texts(count: int = 12, **query: Any) -> list[str]:
    """The numbers of lines that a query shows, of lines `line 0` and so on."""
    fake = FakeLogs(Time(ms=START + 60_000))
    for n in range(count):
        fake.put(WORKER, n * 10, f"line {n} {'boom' if n in (4, 9) else 'fine'}")
    events = logs.read(fake, OUTPUTS, LogQuery(since=START, functions=("worker",), **query))  # type: ignore[arg-type]
    return [event.message.split()[1] for event in events]


def line_of(event_id: str | None, message: str, level: str = "INFO", **fields: str) -> LogEvent:
    return LogEvent("", level, "worker", message, id=event_id, fields=dict(fields))


def shown(*events: LogEvent, **query: Any) -> list[str]:
    """The messages that --errors shows."""
    selector = Filter(LogQuery(since=0, errors=True, **query)).selector()
    assert isinstance(selector, Errors)
    return [each.message for event in events for each in selector.add(event)]


def test_excluded_lines_are_left_out() -> None:
    assert texts(exclude="boom") == ["0", "1", "2", "3", "5", "6", "7", "8", "10", "11"]
    assert texts(exclude="fine", grep="line") == ["4", "9"]
    with pytest.raises(UsageError, match="--exclude"):
        texts(exclude="(")


def test_context_shows_lines_before_and_after_a_match_and_each_once() -> None:
    assert texts(grep="boom", context=1) == ["3", "4", "5", "8", "9", "10"]
    assert texts(grep="boom", context=3) == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]


def test_an_error_is_shown_with_the_other_lines_of_its_event_and_no_other_event() -> None:
    a, b = "event-a", "event-b"
    lines = [
        line_of(a, "a received"),
        line_of(b, "b received"),
        line_of(None, "START"),
        line_of(a, "a failed", "WARNING", error_type="KeyError"),
        line_of(b, "b processed"),
        line_of(a, "a waits"),
    ]
    assert shown(*lines) == ["a received", "a failed", "a waits"]
    assert shown(*lines, grep="other") == []
    assert shown(line_of(None, "Task timed out", "ERROR")) == ["Task timed out"]
    assert shown(line_of(a, "slow", "WARNING")) == []


def test_lines_that_wait_for_an_error_are_bounded() -> None:
    selector = Errors(lambda _: True)
    for n in range(10_000):
        assert list(selector.add(line_of(f"event-{n % 5000}", f"{n}"))) == []
    assert len(selector._waiting) == 2000
    for n in range(1000):
        list(selector.add(line_of("one", f"{n}")))
    error = list(selector.add(line_of("one", "failed", "ERROR")))
    assert [each.message for each in error] == [*map(str, range(900, 1000)), "failed"]


def test_what_is_looked_for_is_marked_and_the_text_stays() -> None:
    regex = regexes.compiled("o+|ß", option="--highlight")
    pieces = render_logs.marked("größer boom", Style.BAD, regex)
    assert "".join(piece.text for piece in pieces) == "größer boom"
    assert [piece.text for piece in pieces if piece.style is Style.MARK] == ["ß", "oo"]
    assert render_logs.marked("boom", Style.BAD, regexes.compiled("x*", option="--grep"))[0].text == "boom"


def test_lines_of_one_event_have_one_colour() -> None:
    render = render_logs.short(100)

    def colour(event_id: str | None) -> Style:
        (row,) = render(line_of(event_id, "text")) or []
        assert isinstance(row, Line)
        return row.parts[2].style

    assert colour("a") == colour("a")
    assert colour("a") in HUES
    assert len({colour(f"event-{n}") for n in range(50)}) == len(HUES)
    assert colour(None) is Style.NAME
