"""Where rows and bars stand, and how the whole looks in any width."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.commands.render.trace import _frame, waterfall
from rtp.commands.render.trace_page import page
from rtp.ops.telemetry import timeline
from rtp.ops.telemetry.loglines import parse
from rtp.ops.telemetry.segments import trace
from rtp.ops.telemetry.waterfall import bar, rows
from rtp.terminal.output import Output
from rtp.text.elements import Style
from tests.unit.watch import documents as d
from tests.unit.watch.hostile import PAYLOADS

SEEN = """
event 01a20910-a6c9-7b0e-9789-605eeaa13111

Waterfall
api/prod 500                300ms  ███████████████████████████
  processor (Lambda)        200ms      ██████████████████
    processor               180ms       █████████████████
      event                 100ms           █████████
        · hh:mm:15.102 received
        DynamoDB PutItem      5ms           █
        test.fail            10ms            ██
          ✗ ValueError: no total
            p.py:7 in f
          · hh:mm:15.130 no total
        queue                10ms                    █
          worker          running                                              █
            · hh:mm:15.510 again
    · hh:mm:15.240 REPORT 180 ms 70 MB
"""


def drawn(width: int, **options: str) -> list[str]:
    out = io.StringIO()
    Output(stdout=out).show(waterfall(trace(d.ID, d.documents()), d.logs(), width=width, **options))
    return out.getvalue().splitlines()


def test_lines_are_below_the_innermost_segment_of_their_function_in_time_order() -> None:
    result = [
        (row.depth, row.segment.name if row.segment else row.log.message if row.log else "")
        for row in rows(trace(d.ID, d.documents()), d.logs())
    ]

    assert result == [
        (0, "shop-dev-api/prod"),
        (1, "shop-dev-processor"),
        (2, "shop-dev-processor"),
        (3, "event"),
        (4, "received"),
        (4, "DynamoDB"),
        (4, "test.fail"),
        (5, "no total"),
        (4, "shop-dev-queue"),
        (5, "shop-dev-worker"),
        (6, "again"),
        (2, "REPORT 180 ms 70 MB"),
    ]


def test_lines_without_a_segment_of_their_function_are_shown_too() -> None:
    result = rows(trace(d.ID, []), d.logs())

    assert [row.log.message for row in result if row.log] == ["received", "no total", "REPORT 180 ms 70 MB", "again"]


@given(st.floats(0, 1e7), st.none() | st.floats(0, 1e7), st.floats(0, 1e7), st.integers(1, 300))
def test_a_bar_is_visible_and_within_its_columns(
    offset: float, duration: float | None, total: float, width: int
) -> None:
    first, length = bar(offset, duration, total, width)

    assert 0 <= first < width
    assert 1 <= length <= width - first


def test_a_bar_is_in_proportion() -> None:
    assert bar(0, 100, 100, 50) == (0, 50)
    assert bar(50, 25, 100, 40) == (20, 10)
    assert bar(90, None, 100, 10) == (9, 1)


@pytest.mark.parametrize("width", [20, 40, 80, 120, 300])
def test_segments_fit_the_terminal(width: int) -> None:
    for row in drawn(width, stack="shop-dev"):
        if "█" in row:
            assert len(row) <= width


def test_the_waterfall_at_80_columns() -> None:
    seen = [
        re.sub(r"(?:(?:\d{4}-)?\d\d-\d\d )?\d\d:\d\d:(\d\d\.\d{3})", r"hh:mm:\1", row)
        for row in drawn(80, stack="shop-dev")[1:]
    ]

    assert seen == SEEN.strip("\n").split("\n")


def test_an_exception_is_shown_once_with_its_frames() -> None:
    text = "\n".join(drawn(80))

    assert text.count("✗ ValueError: no total") == 1
    assert "p.py:7 in f" in text
    assert "p.py:7 f" not in text


def test_hostile_text_reaches_neither_the_terminal_nor_the_page() -> None:
    for payload in PAYLOADS:
        document = d.segment("x", 0, 1, name=payload, annotations={"event_id": payload}, metadata={payload: payload})
        document["cause"] = {"exceptions": [{"type": payload, "message": payload, "stack": [{"path": payload}]}]}
        result = trace(payload, [json.dumps(document)])
        out = io.StringIO()
        Output(stdout=out).show(waterfall(result, d.logs(), width=80))
        html = page(result, d.logs())

        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", out.getvalue())
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)
        assert "<script" not in html.lower()
        assert not re.search(r"<img|javascript:|onerror=[^&]*>", html.lower())


def test_the_page_needs_nothing_from_elsewhere() -> None:
    html = page(trace(d.ID, d.documents()), d.logs())

    assert "default-src 'none'" in html
    assert not re.search(r"(src|href)=|@import|url\(", html)
    assert html.count("<details") == html.count("</details>") == 8
    assert "no total" in html


def test_the_page_has_a_time_axis_and_each_attempt_at_its_own_scale() -> None:
    html = page(trace(d.ID, retried((0, 0.2), (60, 60.1))), [])

    assert "each part at its own scale: 200ms · waits 60s · 100ms" in html
    clock, later = re.findall(r'<span style="left:([\d.]+)%">([^<]+)</span>', html)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d\d\d", clock[1]) and float(clock[0]) == 0
    assert later[1] == "+1m" and float(later[0]) > 50
    # A trace without a wait has its times at equal distances
    plain = page(trace(d.ID, retried((0, 0.2))), [])
    assert "own scale" not in plain and "+50ms" in plain and "+200ms" in plain


def test_the_page_shows_files_as_the_project_names_them() -> None:
    stack = [
        "/proc/7/fd/8/tmp/ministack-lambda-shop-worker-x1/code/rtp/runtime/running.py:116 call",
        "/var/task/helpers/tax.py:7 rate",
    ]
    raw = json.dumps({"message": "boom", "error_type": "KeyError", "level": "ERROR", "stack": stack, "trace_id": d.ID})
    html = page(trace(d.ID, d.documents()), [parse(raw, at=d.START_MS + 130, function="processor")])

    assert '<span class="dim">rtp/runtime/running.py:116 call</span>\nhelpers/tax.py:7 rate' in html
    assert "KeyError: boom" in html
    assert "ministack" not in html and "/var/task" not in html
    # On paper a stack stays on one page, and the error stays above its stack
    paper = html[html.index("@media print") :]
    assert '<pre class="stack">' in html
    assert re.search(r"[^}]*\.stack\b[^}]*\{break-inside:avoid\}", paper)
    assert re.search(r"[^}]*\.problem\{break-after:avoid\}", paper)


def retried(*attempts: tuple[float, float]) -> list[str]:
    """Documents of a trace with a function that runs at these times, s."""
    return [
        json.dumps(
            {
                "id": f"{n:016x}",
                "trace_id": d.ID,
                "name": "shop-dev-worker",
                "origin": "AWS::Lambda",
                "start_time": 1_800_000_000 + start,
                "end_time": 1_800_000_000 + end,
            }
        )
        for n, (start, end) in enumerate(attempts)
    ]


def test_attempts_stand_side_by_side_at_their_own_scale_with_the_waits_between() -> None:
    axis = timeline.axis(trace(d.ID, retried((0, 0.2), (60, 60.1), (3600, 3601))), 36)
    assert [round(wait / 1000, 1) for wait in axis.waits()] == [59.8, 3539.9]
    assert [axis.place(*each) for each in ((0, 200), (60_000, 100), (3_600_000, 1000))] == [(0, 10), (13, 10), (26, 10)]
    assert [n for n in range(36) if axis.is_wait(n)] == [10, 11, 12, 23, 24, 25]
    assert axis.place(3_600_000, None) == (26, 10)


def test_a_trace_without_a_wait_is_drawn_as_a_whole() -> None:
    axis = timeline.axis(trace(d.ID, retried((0, 1), (1.1, 2))), 40)
    assert len(axis.spans) == 1
    assert axis.place(0, 1000) == bar(0, 1000, 2000, 40)


@given(
    st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 100)), min_size=1, max_size=12),
    st.integers(1, 120),
)
def test_every_bar_is_visible_and_within_its_columns_whatever_the_waits(
    attempts: list[tuple[float, float]], width: int
) -> None:
    found = trace(d.ID, retried(*((start, start + took) for start, took in attempts)))
    axis = timeline.axis(found, width)
    for segment in found.segments:
        first, length = axis.place(segment.offset_ms, segment.duration_ms)
        assert 0 <= first < width and length >= 1 and first + length <= width


def test_a_wait_has_a_row_with_its_time() -> None:
    out = io.StringIO()
    Output(stdout=out).show(waterfall(trace(d.ID, retried((0, 0.2), (60, 60.1))), [], width=60))
    text = out.getvalue()
    assert re.search(r"^each part at its own scale: 200ms · waits \S+ · 100ms$", text, re.MULTILINE)
    assert re.search(r"^waits +\S+ +···$", text, re.MULTILINE)


def test_the_frameworks_frames_are_dimmed_and_the_users_are_not() -> None:
    assert _frame("rtp/runtime/running.py:116 in call", "").parts[0].style is Style.DIM
    assert _frame("/opt/python/lib/python3.12/site-packages/x/y.py:1 in f", "").parts[0].style is Style.DIM
    assert _frame("processors.py:8 in order", "").parts[0].style is Style.PLAIN
