"""Terminals that are narrow, of unknown size or not UTF-8: no traceback, and no status or error is lost."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.commands.render.rehearse import rehearsal
from rtp.ops.rehearse.report import FailingGroup, Findings
from rtp.terminal import prose, width
from rtp.terminal.layout import Layout
from rtp.terminal.output import Output
from rtp.text import suggest
from rtp.text.elements import (
    Column,
    Element,
    Fields,
    Heading,
    Line,
    Table,
    Text,
    advice,
    bad,
    dim,
    good,
    line,
    name,
    next_step,
)

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
ELEMENTS: list[Element] = [
    Heading("Records · größer"),
    Table(
        [
            Column("ID", tail=True),
            Column("STATUS", whole=True),
            Column("TYPE", drop=2),
            Column("ATTEMPTS", right=True, drop=1),
            Column("ERROR", long=True),
        ],
        [
            (name(ID), bad("dead"), "bestellung.größer", 5, "ValueError: 日本語 → „falsch“ …"),
            (name(ID), good("processed"), "order.created", 1, None),
        ],
    ),
    Fields([("queue · größe", "日本"), ("state", bad("✗ failed"))]),
    line(bad("✗ "), "a line · with → signs"),
]


class Terminal(io.TextIOWrapper):
    """A terminal of an encoding, strict as Python's are."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", buffer.getvalue().decode(self.encoding))


@pytest.mark.parametrize("columns", ["0", "1", "2", "20", "40", "80", "200", "-1", "abc", ""])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "cp1252"])
def test_every_terminal_shows_status_and_error(encoding: str, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    for variable in ("LINES", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    stdout, stderr = Terminal(encoding), Terminal(encoding)
    output = Output(stdout=stdout, stderr=stderr)
    output.show(ELEMENTS)
    output.say(*ELEMENTS)
    with output.live(data=True) as live:
        live.update(ELEMENTS)
    for text in (stdout.text(), stderr.text()):
        squeezed = "".join(text.split())
        if columns not in ("1", "2"):  # room for titles alone
            assert "dead" in squeezed and "processed" in squeezed
            assert "ValueError" in squeezed
            assert "failed" in squeezed


def test_a_size_of_zero_is_unknown_and_not_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    assert Output(stdout=Terminal("utf-8")).width >= 40


def test_a_narrow_terminal_shows_each_row_as_lines_of_title_and_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    stdout = Terminal("utf-8")
    columns = [Column("ID", whole=True), Column("STATUS", whole=True)]
    Output(stdout=stdout).show([Table(columns, [(ID, bad("dead")), (ID, "processed")])])
    rows = stdout.text().split("\n")
    assert all(len(row) <= 40 for row in rows)
    assert [row.split() for row in rows if row.startswith("STATUS")] == [["STATUS", "dead"], ["STATUS", "processed"]]


def test_what_an_encoding_lacks_is_measured_as_it_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    stdout = Terminal("ascii")
    rows = [("größe", "a"), ("x", "b")]
    Output(stdout=stdout).show([Table(["NAME", "STATUS"], rows)])
    lines = stdout.text().split("\n")
    assert lines[1].index("a") == lines[2].index("b") == lines[0].index("STATUS")


def drawn(elements: list[Element], columns: int, monkeypatch: pytest.MonkeyPatch, *, wide: bool = False) -> list[str]:
    """The rows of elements on a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    stdout = Terminal("utf-8")
    Output(stdout=stdout, layout=Layout(wide=wide)).show(elements)
    return stdout.text().rstrip("\n").split("\n")


@pytest.mark.parametrize("columns", [120, 80, 60, 40])
def test_a_row_of_a_list_is_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = drawn([ELEMENTS[1]], columns, monkeypatch)
    assert len(rows) == 3
    assert all(width.columns(row) <= columns for row in rows)
    assert [row.split()[1] for row in rows] == ["STATUS", "dead", "processed"]
    assert all(ID[-8:] in row for row in rows[1:])
    assert (ID in rows[1]) == (columns >= 80)


def test_wide_shows_all_columns_in_one_line_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = drawn([ELEMENTS[1]], 40, monkeypatch, wide=True)
    assert len(rows) == 3
    assert rows[1].split() == [ID, "dead", "bestellung.größer", "5", "ValueError:", "日本語", "→", "„falsch“", "…"]


def test_prose_wraps_at_words_and_a_command_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    text = advice("Events are dead in the queue of the pipeline; see `rtp dlq inspect --env=prod --since=3h` for more.")
    rows = drawn([line(text, indent=2)], 40, monkeypatch)
    assert " ".join(row.strip() for row in rows) == text.text
    assert all(len(row) <= 40 for row in rows if "`" not in row)
    assert any("`rtp dlq inspect --env=prod --since=3h`" in row for row in rows)
    assert rows[0].startswith("  Events") and all(row.startswith("    ") for row in rows[1:])


def test_a_remark_that_does_not_fit_beside_its_command_is_a_comment_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    step = next_step(
        "next  ", suggest.command("rtp", "rehearse", group="0becbc52"), "run its events here; nothing is sent"
    )
    assert drawn(step, 80, monkeypatch) == [
        "next  rtp rehearse --group=0becbc52  # run its events here; nothing is sent"
    ]
    rows = drawn(step, 40, monkeypatch)
    assert rows == ["next  rtp rehearse --group=0becbc52", "      # run its events here; nothing is", "      # sent"]


def test_a_line_of_code_is_cut_and_keeps_its_indentation(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Line((dim("  41          return {'cents': rates[data['currency']] * data['amount']}"),), indent=2, cut=True)
    assert drawn([code], 40, monkeypatch) == ["    41          return {'cents': rates[…"]
    assert drawn([code], 120, monkeypatch)[0].endswith("data['amount']}")


def test_a_traceback_of_a_rehearsal_breaks_within_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = (
        "Traceback (most recent call last):\n"
        '  File "/home/ops/shop/processors.py", line 41, in price\n'
        "    return {'cents': rates[data['currency']] * data['amount']}\n"
        "                     ~~~~~^^^^^^^^^^^^^^^^^^\n"
        "KeyError: 'JPY is no currency of the table of rates of this month'"
    )
    group = FailingGroup("still-dead", "0becbc52", "order", "KeyError: x", "", 1, True, "e1", 1, stack)
    findings = replace(Findings().report(), still_dead=1, events=1, failing=[group])
    for columns in (40, 60):
        rows = drawn(rehearsal(findings, "local", (), "/home/ops/shop"), columns, monkeypatch)
        begins = next(n for n, row in enumerate(rows) if "Traceback" in row)
        assert all(width.columns(row) <= columns for row in rows[begins:])
        assert '  File "processors.py", line 41, in' in rows[begins + 1]
        assert any(row.startswith("      return {'cents': rates[") and row.endswith("…") for row in rows)
        # And a message wraps at words, below itself
        assert " ".join("".join(f"{row}\n" for row in rows).split()).count("table of rates of this month") == 1


def test_rows_below_the_first_hang_at_a_column_that_the_terminal_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Line(
        (Text("ok   cdk                 "), Text("reads schema 55 and writes schema 54 of assemblies")), hang=25
    )
    assert drawn([found], 60, monkeypatch)[1] == " " * 25 + "54 of assemblies"
    assert all(row.startswith("  ") and row[2] != " " for row in drawn([found], 40, monkeypatch)[1:])


def test_an_empty_column_takes_no_room_of_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [Column("ID", whole=True), Column("REASON", long=True), Column("STATUS", whole=True)]
    assert drawn([Table(columns, [(ID, "", "dead")])], 44, monkeypatch)[0].split() == ["ID", "STATUS"]
    assert drawn([Table(columns, [(ID, "", "dead")])], 80, monkeypatch)[0].split() == ["ID", "REASON", "STATUS"]


def test_prose_wraps_at_words_above_a_live_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    stdout = Terminal("utf-8")
    out = Output(stdout=stdout, stderr=stdout)
    with out.live():
        out.show([line("deleted in a week; until then it can be saved by somebody")])
    rows = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stdout.text()).replace("\r", "\n").split("\n")
    assert any("saved by somebody" in row for row in rows)
    assert all(len(row) <= 40 for row in rows)


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "Zs", "P")), max_size=200), st.integers(1, 60))
def test_wrapping_neither_loses_nor_adds_a_word(text: str, columns: int) -> None:
    rows = prose.wrapped(line(bad(text[:9]), text[9:]), columns)
    shown = " ".join("".join(part.text for part in row.parts) for row in rows if isinstance(row, Line))
    assert shown.split() == text.split()
