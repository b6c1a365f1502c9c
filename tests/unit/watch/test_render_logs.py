"""What an operator sees of a line: short, with what matters, never a control character."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from rtp.commands.render import logs as render_logs
from rtp.ops.telemetry.loglines import parse
from rtp.terminal import draw, prose
from rtp.terminal.output import Output
from rtp.text import times
from tests.unit.watch.hostile import PAYLOADS

ID = "01a20910-a6c9-7b0e-9789-605eeaa13111"


def shown(raw: str, *, width: int = 80, detailed: bool = False, function: str = "worker") -> str:
    """The line as it is printed, without its time. It is of this moment, since one of another day carries its date."""
    out = io.StringIO()
    look = (render_logs.detailed if detailed else render_logs.short)(width)
    elements = look(parse(raw, at=times.now_ms(), function=function))
    if elements is not None:
        Output(stdout=out).show(elements)
    return re.sub(r"^\d\d:\d\d:\d\d\.\d{3} ", "", out.getvalue())


def own(**fields: Any) -> str:
    return json.dumps({"level": "INFO", "step": "s", "message": "m", "event_id": ID} | fields)


def test_a_line_has_level_function_message_and_event() -> None:
    assert shown(own(message="event processed"), width=90) == f"INFO  worker    event processed  {ID}\n"


def test_the_prefix_leaves_room_in_80_columns() -> None:
    assert len("hh:mm:ss.mmm " + shown(own(message="raw event archived"))) <= 81


def test_in_a_narrow_terminal_an_id_is_shortened_but_not_that_of_a_failure() -> None:
    assert shown(own(message="failed here, queued"), width=60) == "INFO  worker    failed here, queued  …eaa13111\n"
    assert shown(own(message="broken", level="ERROR"), width=60) == (
        f"ERROR worker    broken\n             event {ID}\n"
    )


def test_the_id_of_a_failure_stays_whole_in_40_columns() -> None:
    event = parse(own(message="broken", level="ERROR"), at=times.now_ms(), function="worker")
    rows = [row for element in render_logs.short(40)(event) or () for row in prose.wrapped(element, 40)]
    assert draw.flat(rows[-1]) == f"  {ID}"


def test_an_error_has_its_type_and_the_frames_of_the_users_code() -> None:
    raw = own(
        level="ERROR",
        message="no total",
        error_type="ValueError",
        stack=["/var/task/rtp/runtime/running.py:36 work", "/var/task/processors.py:7 enrich"],
    )

    assert shown(raw, width=200) == (
        f"ERROR worker    ValueError: no total  {ID}\n             processors.py:7 enrich\n"
    )


def test_a_long_stack_is_cut_above_and_whole_in_detail() -> None:
    raw = own(level="ERROR", stack=[f"p.py:{n} f" for n in range(30)])

    assert "… 22 more above" in shown(raw)
    assert shown(raw).rstrip().endswith("p.py:29 f")
    assert "p.py:0 f" in shown(raw, detailed=True)


@pytest.mark.parametrize(
    "raw",
    [
        '{"_aws": {"CloudWatchMetrics": []}, "EventsProcessed": 1}',
        "START RequestId: 0f8fad5b-d9cb-469f-a165-70867728950e Version: 1",
        "END RequestId: 0f8fad5b-d9cb-469f-a165-70867728950e",
        "INIT_START Runtime Version: python:3.13",
    ],
)
def test_metrics_and_platform_lines_are_shown_in_detail_only(raw: str) -> None:
    assert shown(raw) == ""
    assert shown(raw, detailed=True) != ""


def test_details_are_wrapped_into_the_width() -> None:
    text = shown(own(request_id="r" * 36, trace_id="t" * 35, size=12, note="x" * 30), detailed=True)

    rows = text.splitlines()
    assert rows[0] == "INFO  worker    m"
    assert rows[1] == f"             event={ID}  step=s"
    assert all(len(row) <= 80 for row in rows)
    assert "size=12" in text


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("detailed", [False, True])
def test_hostile_text_is_shown_without_effect(payload: str, detailed: bool) -> None:
    for raw in (
        payload,
        own(message=payload, event_id=payload, error=payload, error_type=payload, stack=payload, extra=payload),
        json.dumps({payload: payload, "message": payload, "level": payload}),
    ):
        text = shown(raw, width=500, detailed=detailed)
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)


def test_rich_markup_is_text() -> None:
    assert "[red]markup[/red]" in shown(own(message="[red]markup[/red]"))
