"""What lists select, count and print for machines: --where, --by, --older-than, --raw, --csv."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from rtp.commands import count_options
from rtp.commands.render import headings
from rtp.commands.render import records as render_records
from rtp.errors import UsageError
from rtp.ops.events.record_filters import RecordFilters
from rtp.ops.events.tally import ValueCount, tally
from rtp.terminal.layout import Layout
from rtp.terminal.output import Output
from rtp.text import queries, regexes, times

NOW = 1_800_000_000_000
RECORD: dict[str, Any] = {
    "id": "e1",
    "timestamp": NOW,
    "type": "order.created",
    "status": "dead",
    "attempt_count": 3,
    "data": {"total": 120, "note": "=cmd()"},
    "error": {"type": "KeyError", "message": "'total'", "signature": "KeyError: *"},
}


def where(text: str) -> RecordFilters:
    return RecordFilters(where=queries.compiled(text, option="--where"))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (RecordFilters(), True),
        (RecordFilters(error="keyerror"), True),
        (RecordFilters(error="KeyError: *"), True),
        (RecordFilters(error="ValueError"), False),
        (RecordFilters(grep=regexes.compiled("cmd|x", option="--grep")), True),
        (RecordFilters(grep=regexes.compiled("y{3}", option="--grep")), False),
        (where("data.total > `100`"), True),
        (where("data.total > `200`"), False),
        (where("missing"), False),
        (where("error.type == 'KeyError' && status == 'dead'"), True),
    ],
)
def test_a_record_must_meet_every_condition(filters: RecordFilters, expected: bool) -> None:
    assert filters.match(RECORD) is expected


def test_an_expression_that_does_not_fit_names_its_option() -> None:
    with pytest.raises(UsageError, match="--where"):
        where("sum(data)").match(RECORD)
    with pytest.raises(UsageError, match="--by"):
        queries.compiled("a[", option="--by")


def test_records_are_counted_by_a_field() -> None:
    by = queries.compiled("error.type", option="--by")
    result = tally([RECORD, RECORD, {"id": "e2"}], by)
    assert (result.total, result.by) == (3, "error.type")
    assert result.counts == [ValueCount("KeyError", 2), ValueCount("-", 1)]
    assert tally([RECORD], None).counts == []


def test_the_end_of_a_list_is_the_earlier_of_until_and_older_than() -> None:
    assert count_options.end(None, None, now=NOW) is None
    assert count_options.end(None, "3h", now=NOW) == NOW - 3 * 3_600_000
    assert count_options.end("1h", "3h", now=NOW) == NOW - 3 * 3_600_000
    assert count_options.end("4h", "3h", now=NOW) == NOW - 4 * 3_600_000


def test_the_first_line_has_environment_count_filters_and_the_time_zone_once() -> None:
    line = headings.heading("records", "prod", headings.count(50, more=True), ["dead", ""], "since 03:00 UTC")
    assert "".join(part.text for part in line.parts) == "records prod: 50, more exist, dead, since 03:00 UTC"
    assert headings.count(10, total=1200) == ["10 of 1,200"]
    zone = times.zone(NOW)
    assert headings.window(NOW - 60_000, now=NOW) == f"since {times.minute(NOW - 60_000, now=NOW)} {zone}"
    until = NOW - 3_600_000
    ended = headings.window(NOW - 7_200_000, until, now=NOW)
    assert ended == f"{times.minute(NOW - 7_200_000, now=NOW)} to {times.minute(until, now=NOW)} {zone}"


@pytest.mark.parametrize("mark", [*"=+-@\t\r\n＝＋－＠"], ids=range(11))
def test_no_text_of_an_event_begins_as_a_formula_in_csv(mark: str) -> None:
    (row,) = csv.DictReader(io.StringIO(render_records.csv_text([{**RECORD, "type": f"{mark}1+1"}]), newline=""))
    assert row["type"].startswith("'")


def test_csv_has_a_header_and_no_formula_of_an_event_is_run() -> None:
    rows = list(csv.DictReader(io.StringIO(render_records.csv_text([RECORD, {**RECORD, "id": "=1+1"}]))))
    assert rows[0]["id"] == "e1" and rows[1]["id"] == "'=1+1"
    assert rows[0]["timestamp"] == times.iso(NOW)
    assert (rows[0]["error_type"], rows[0]["error_message"]) == ("KeyError", "'total'")
    assert json.loads(rows[0]["data"]) == RECORD["data"]
    assert rows[0]["result"] == ""


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("a", "one two\n"),
        ("b", "1\n2\nx\n"),
        ("c", '{"k": "v"}\n'),
        ("d", ""),
        ("b[0]", "1\n"),
        ("e", "true\n"),
    ],
)
def test_raw_prints_strings_without_quotes_and_lists_a_line_each(query: str, text: str) -> None:
    out = io.StringIO()
    document = {"a": "one two", "b": [1, 2, None, "x"], "c": {"k": "v"}, "d": None, "e": True}
    Output(query=query, layout=Layout(raw=True), stdout=out).document(document)
    assert out.getvalue() == text
