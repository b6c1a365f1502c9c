"""Terminals that are narrow, of unknown size or not UTF-8: no traceback, and no status or error is lost."""

from __future__ import annotations

import io
import re

import pytest

from rtp.terminal.output import Output
from rtp.text.elements import Column, Element, Fields, Heading, Table, bad, good, line, name

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
ELEMENTS: list[Element] = [
    Heading("Records · größer"),
    Table(
        [
            Column("ID"),
            Column("STATUS", whole=True),
            Column("TYPE"),
            Column("ATTEMPTS", right=True, optional=True),
            Column("ERROR", fold=True),
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
    Output(stdout=stdout).show([ELEMENTS[1]])
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
