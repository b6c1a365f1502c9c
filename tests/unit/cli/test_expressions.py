"""What operators give as an expression is bounded: any depth, size and number ends with exit 2, not with a traceback.

None of these tests measures time: an expression that is not bounded would not end at all, or fill the memory.
"""

from __future__ import annotations

import io
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from rtp.config import reading
from rtp.errors import ConfigError, ExitCode, UsageError
from rtp.terminal.output import Output
from rtp.text import regexes, times

if TYPE_CHECKING:
    from pathlib import Path

RECORDS: dict[str, object] = {
    "records": [{"id": str(n), "n": n, "f": Decimal("0.5"), "tags": ["a", "b"]} for n in range(50)]
}


def query(expression: str, document: object = RECORDS) -> str:
    stdout = io.StringIO()
    Output(query=expression, stdout=stdout).document(document)
    return stdout.getvalue()


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "(" * 5000 + "records" + ")" * 5000,
        "[" * 900 + "@" + "]" * 900,
        "!" * 3000 + "records",
        "not_null(" * 400 + "@" + ")" * 400,
        "records" + "[0]" * 9000,
        "a" * 1_000_000,
        "`" + "[" * 4000 + "]" * 4000 + "`",
        "|".join(["[@,@]"] * 500),
        "|".join(["[@,@]"] * 90),
        "|".join(["{a: @, b: @}"] * 60),
        "records[0].id|" + "|".join(["join('',[@,@])"] * 60),
        "|".join(["[@,@]"] * 20) + "|" + "|".join(["[]"] * 10) + "|" + "|".join(["[@,@][]"] * 40),
        "[" + "|".join(["[@,@]"] * 60) + "] == [" + "|".join(["[@,@]"] * 60) + "]",
        "to_string(" + "|".join(["[@,@]"] * 40) + ")",
        "records[::0]",
        "records[" + "9" * 4999 + "]",
        "`1e999`",
        "to_number('1e999')",
        "to_number('nan')",
        "ceil(to_number('inf'))",
        "to_number('" + "9" * 4200 + "')",
        "sum(records)",
        "records[?n > `NaN`] | [`Infinity`]",
        "\ud800",
    ],
)
def test_every_query_that_cannot_be_answered_is_a_usage_error(expression: str) -> None:
    with pytest.raises(UsageError, match="--query") as error:
        query(expression)
    assert error.value.exit_code == ExitCode.USAGE
    assert len(error.value.message) < 500


def test_a_stream_is_bounded_too() -> None:
    output = Output(query="message|" + "|".join(["join('',[@,@])"] * 60), stdout=io.StringIO())
    with pytest.raises(UsageError):
        output.event("log", {"message": "a"}, lambda _: "never")


def test_ordinary_queries_of_large_documents_are_answered() -> None:
    document = {"records": [{"id": str(n), "data": {"x": ["y"] * 5}} for n in range(5000)]}
    expression = "sort_by(records, &id)[?contains(id, '9')].{id: id, all: data.x[]} | length(@)"
    assert query(expression, document).strip() == str(sum("9" in str(n) for n in range(5000)))
    assert query("records[0].id == records[0].id", document).strip() == "true"


@pytest.mark.parametrize(
    "expression", ["(", "a{1000}{1000}", "(?=a)", r"(a)\1", "a" * 1_000_000, "((a{100}){100}){100}", "\ud800", "[z-a]"]
)
def test_a_grep_that_cannot_be_matched_in_bounded_memory_is_a_usage_error(
    expression: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="--grep") as error:
        regexes.compiled(expression, option="--grep")
    assert len(error.value.message) < 500
    assert capfd.readouterr() == ("", "")  # the engine writes no log of its own


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|a)*b", "(.*a){20}$", "(a?){40}a{40}$", "(x+x+)+y"])
def test_a_grep_takes_linear_time(expression: str) -> None:
    text = "a" * 20_000 + "x" * 20_000
    assert not regexes.compiled(expression, option="--grep").matches(text + "!")


def test_a_grep_finds_text_of_any_script() -> None:
    assert regexes.compiled("größe|日本", option="--grep").matches("die größe")
    assert regexes.compiled("(?i)GRÖSSE.*5", option="--grep").matches("grösse = 5")
    assert regexes.compiled("b", option="--grep").matches("\ud800b")
    assert not regexes.compiled("^b", option="--grep").matches("ab")


def test_an_rtp_toml_of_any_depth_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "rtp.toml"
    file.write_text("a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        reading.load(file)


@pytest.mark.parametrize("text", ["9" * 400 + "d", "1" * 100_000, "1" * 90 + "w", "1d" * 60, "9" * 30 + " days ago"])
def test_a_time_of_any_size_is_a_usage_error(text: str) -> None:
    for parse in (times.parse_when, times.parse_duration):
        with pytest.raises(UsageError):
            parse(text)


def test_a_time_before_the_epoch_is_its_beginning() -> None:
    assert times.parse_when("36500d", now=1000) == 0
    assert times.parse_when("1901-01-01T00:00:00Z") == 0


def test_groups_of_an_expression_are_not_captured() -> None:
    # Thousands of groups take time and memory with each text
    assert regexes._engine("((a)(b))").search(b"ab").groups() == ()
