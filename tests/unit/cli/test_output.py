"""What reaches the terminal and the pipe."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp import fastpath
from rtp.errors import RefusedError, RtpError, UsageError
from rtp.terminal.output import Output
from rtp.text.elements import Block, Column, Element, Fields, Heading, Line, Style, Table, Text, line


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True)
class Answer:
    id: str
    total: Decimal


def human(*elements: Element, tty: bool = False) -> str:
    stream = Terminal() if tty else io.StringIO()
    Output(stdout=stream, stderr=io.StringIO()).show(list(elements))
    return stream.getvalue()


def test_a_result_is_one_json_document_or_a_rendering_never_both() -> None:
    for as_json in (True, False):
        out, err = io.StringIO(), io.StringIO()
        Output(json=as_json, stdout=out, stderr=err).result(Answer("a", Decimal("0.10")), lambda a: f"id {a.id}")
        assert out.getvalue() == ('{"version": 1, "id": "a", "total": 0.10}\n' if as_json else "id a\n")
        assert err.getvalue() == ""


def test_numbers_keep_every_digit() -> None:
    out = io.StringIO()
    value = Decimal("12345678901234567890123456789012345678")
    Output(json=True, stdout=out).document({"n": value, "f": Decimal("0.1000")})
    assert out.getvalue() == '{"version": 1, "n": 12345678901234567890123456789012345678, "f": 0.1000}\n'


def test_a_query_selects_and_implies_json() -> None:
    out = io.StringIO()
    Output(query="records[].id", stdout=out).result({"records": [{"id": "a"}]}, lambda _: "never")
    assert json.loads(out.getvalue()) == ["a"]


@pytest.mark.parametrize("query", ["lenght(@)", "max_by(records, &id, 1)"])
def test_a_query_with_an_unknown_function_is_refused_before_the_command_runs(query: str) -> None:
    with pytest.raises(UsageError, match="--query"):
        Output(query=query)


def test_a_query_that_does_not_match_the_document_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--query"):
        Output(query="length(nope)", stdout=io.StringIO()).result({"records": []}, lambda _: "never")


def test_a_query_counts_exact_numbers() -> None:
    out = io.StringIO()
    document = {"records": [{"n": Decimal("12.50")}, {"n": Decimal("0.25")}]}
    Output(query="[sum(records[].n), avg(records[].n)]", stdout=out).result(document, lambda _: "never")
    assert json.loads(out.getvalue()) == [12.75, 6.375]
    # But one that no float can say stays as it is
    out = io.StringIO()
    wide = Decimal("0.12345678901234567890123456789")
    Output(query="n", stdout=out).result({"n": wide}, lambda _: "never")
    assert out.getvalue().strip() == str(wide)


def test_an_invalid_query_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--query"):
        Output(query="records[")


def test_stream_elements_are_json_lines_with_their_type() -> None:
    out = io.StringIO()
    output = Output(json=True, stdout=out)
    output.event("log", {"message": "a\nb"}, lambda _: "never")
    output.event("log", {"message": "c"}, lambda _: "never")
    assert [json.loads(row) for row in out.getvalue().splitlines()] == [
        {"version": 1, "type": "log", "message": "a\nb"},
        {"version": 1, "type": "log", "message": "c"},
    ]


@pytest.mark.parametrize("tty", [False, True])
def test_gathered_elements_and_messages_come_in_their_order(tty: bool) -> None:
    stream = Terminal() if tty else io.StringIO()
    out = Output(stdout=stream, stderr=stream)
    with out.gathered():
        for n in range(250):
            out.event("log", n, lambda n: Line((Text(f"line {n}"),)))
            if n == 120:
                out.say(Line((Text("a message"),)))
    rows = [row for row in stream.getvalue().split("\n") if row]
    expected = [f"line {n}" for n in range(250)]
    assert rows == [*expected[:121], "a message", *expected[121:]]


def test_what_was_gathered_is_printed_before_an_error_ends_the_command() -> None:
    stream = io.StringIO()
    out = Output(stdout=stream, stderr=io.StringIO())
    with pytest.raises(UsageError), out.gathered():
        out.raw("one\n")
        out.raw("two\n")
        raise UsageError("no")
    assert stream.getvalue() == "one\ntwo\n"


def test_a_document_in_another_format_has_no_version_of_rtp_in_it() -> None:
    out = io.StringIO()
    Output(stdout=out).template({"Resources": {}})
    assert json.loads(out.getvalue()) == {"Resources": {}}


def test_an_error_is_on_stdout_under_json_and_on_stderr_for_people() -> None:
    error = RtpError("queue x is gone", hint="rtp deploy", code="gone")
    out, err = io.StringIO(), io.StringIO()
    Output(json=True, stdout=out, stderr=err).error(error)
    assert json.loads(out.getvalue()) == {
        "version": 1,
        "error": {"code": "gone", "message": "queue x is gone", "hint": "rtp deploy"},
    }
    assert err.getvalue() == ""
    out, err = io.StringIO(), io.StringIO()
    Output(stdout=out, stderr=err).error(error)
    assert out.getvalue() == ""
    assert "queue x is gone" in err.getvalue()
    assert "rtp deploy" in err.getvalue()


def test_a_pipe_gets_whole_values_and_no_colours() -> None:
    long = "x" * 300
    text = human(
        Heading("Records"),
        Table(("ID", Column("N", right=True)), [(Text(long, Style.NAME), 1), ("b", 22)]),
        Fields([("name", long)]),
        Block('{"a": 1}\n{"b": 2}', indent=2),
    )
    assert f"{long}   1\n" in text
    assert "\x1b" not in text
    assert all(row == row.rstrip() for row in text.split("\n"))


HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x1b\x9b\x07\r\b\x7f\u202e\u2066\u200b\ufeff[]\\/\n\ud800"),
        st.sampled_from("[bold red]:smile:[/]"),
    ),
    max_size=80,
)
ALLOWED = {"\n", "\t"}


@given(HOSTILE)
def test_no_text_reaches_the_terminal_as_a_control_character_or_markup(text: str) -> None:
    elements: list[Element] = [
        text,
        Text(text, Style.BAD),
        line("a ", Text(text)),
        Heading(text),
        Fields([(text, text)]),
        Table((Column("T", fold=True),), [(text,), (Text(text),), (Line((Text(text),)),)]),
        Block(text),
    ]
    shown = human(*elements)
    assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in ALLOWED}
    if "[bold red]" in text:
        assert "[bold red]" in shown


def seen(drawn: str) -> list[list[tuple[str, str]]]:
    """What a reader sees of each row: its characters with their styles, without the spaces at its end."""
    rows: list[list[tuple[str, str]]] = [[]]
    style = ""
    for part in re.split("(\x1b\\[[0-9;]+m|\n)", drawn):
        if part.startswith("\x1b"):
            style = "" if part == "\x1b[0m" else part
        elif part == "\n":
            rows.append([])
        else:
            rows[-1] += [(char, "" if char == " " else style) for char in part]
    for row in rows:
        while row and row[-1][0].isspace():
            row.pop()
    return rows


def drawn_both_ways(elements: list[Element], *, tty: bool) -> tuple[object, object]:
    """What is seen of the elements with the fast paths, and without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(fastpath.SWITCH, raising=False)
        fast = human(*elements, tty=tty)
        patch.setenv(fastpath.SWITCH, "1")
        return seen(fast), seen(human(*elements, tty=tty))


WITHOUT_TABS = HOSTILE.filter(lambda text: "\t" not in text)  # rich replaces a tab with spaces


@given(WITHOUT_TABS)
def test_a_pipe_gets_the_same_text_without_the_fast_path(text: str) -> None:
    elements: list[Element] = [
        text,
        Text(text, Style.BAD),
        line("a ", Text(text, Style.STRONG)),
        Line((Text(text),), indent=2),
        Fields([("label", text), ("b", None)]),
        Block(text, indent=2),
    ]
    fast, slow = drawn_both_ways(elements, tty=False)
    assert fast == slow


@given(WITHOUT_TABS, st.sampled_from(Style))
def test_a_terminal_gets_the_same_text_without_the_fast_path(text: str, style: Style) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("NO_COLOR", raising=False)
        elements: list[Element] = [
            text,
            Text(text, style),
            line("a ", Text(text, style), "b"),
            Block(text, style=style),
        ]
        fast, slow = drawn_both_ways(elements, tty=True)
    assert fast == slow


def test_json_of_hostile_text_is_lossless() -> None:
    text = "\x1b]8;;http://x\x07[red]\u202e\ud800\x00"
    out = io.StringIO()
    Output(json=True, stdout=out).document({"t": text})
    assert json.loads(out.getvalue())["t"] == text
    assert "\x1b" not in out.getvalue()


def test_text_is_printed_in_a_locale_without_utf8() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Output(stdout=stream).show("naïve → 日本 …")
    assert raw.getvalue() == b"na\\xefve -> \\u65e5\\u672c ...\n"


def test_json_is_the_same_in_a_locale_without_utf8() -> None:
    raw = io.BytesIO()
    value = {"naïve…": ["日本", "\U0001f600", "×"]}
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Output(json=True, stdout=stream).document(value)
    assert json.loads(raw.getvalue()) == {"version": 1, **value}


def test_a_question_without_a_terminal_is_refused_unless_yes_is_given() -> None:
    output = Output(stdout=io.StringIO(), stderr=io.StringIO(), stdin=io.StringIO("y\n"))
    output.confirm("Delete it?", yes=True)
    with pytest.raises(RefusedError, match="There is no terminal"):
        output.confirm("Delete it?", yes=False)
    with pytest.raises(RefusedError):
        output.confirm_name("Delete it?", "shop-prod", given=None)
    with pytest.raises(RefusedError):
        output.confirm_name("Delete it?", "shop-prod", given="shop-dev")


@pytest.mark.parametrize(
    ("typed", "is_confirmed"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_a_question_on_a_terminal_defaults_to_no(typed: str, is_confirmed: bool) -> None:
    class Keyboard(Terminal):
        pass

    output = Output(stdout=Terminal(), stderr=Terminal(), stdin=Keyboard(typed))
    if is_confirmed:
        output.confirm("Delete it?", yes=False)
    else:
        with pytest.raises(RefusedError):
            output.confirm("Delete it?", yes=False)


@pytest.mark.parametrize(
    ("typed", "value"), [("v\n", "v"), ("two\nlines\n", "two\nlines"), (" v \r\n", " v "), ("", "")]
)
def test_a_value_from_stdin_is_taken_whole_without_its_last_newline(typed: str, value: str) -> None:
    shown = io.StringIO()
    assert Output(stdin=io.StringIO(typed), stderr=shown).secret("Value: ") == value
    assert shown.getvalue() == ""


def test_a_value_from_stdin_that_is_no_text_is_an_error() -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8")
    with pytest.raises(UsageError, match="not UTF-8"):
        Output(stdin=stdin).secret("Value: ")
