"""rtp docs: pages from the package, on a terminal and in a pipe, and the entries of error codes."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.commands import docs
from rtp.ops import manual, manual_search
from rtp.terminal import draw
from rtp.terminal.output import Output
from rtp.text.elements import Table, Text

if TYPE_CHECKING:
    from pathlib import Path

_CODES = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def rtp(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtp", *words], capture_output=True, text=True, timeout=180, check=False
    )


def drawn(topic: str, width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    stdout = Terminal()
    Output(stdout=stdout).page(manual.text(topic))
    return _CODES.sub("", stdout.getvalue())


def test_without_a_topic_every_page_is_listed_with_its_purpose() -> None:
    done = rtp("docs")
    assert done.returncode == 0
    for topic, page in manual.PAGES.items():
        assert f"{topic} " in done.stdout
        assert page.summary in done.stdout
    assert [kind.value for kind in manual.Kind if kind.value in done.stdout.splitlines()] == list(manual.Kind)


def test_a_pipe_gets_the_page_as_it_is_written() -> None:
    done = rtp("docs", "incident")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (manual.folder() / "incident.md").read_text(encoding="utf-8")


def test_the_code_of_an_error_shows_its_entry_alone() -> None:
    done = rtp("docs", "wrong-account")
    assert done.stdout.startswith("### `wrong-account`\n")
    assert done.stdout.count("###") == 1
    assert "Exit code 5" in done.stdout


def test_an_unknown_topic_gets_a_suggestion() -> None:
    done = rtp("docs", "incidents")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean 'incident'?" in done.stderr
    assert "`rtp docs` lists the pages" in done.stderr


@pytest.mark.parametrize("width", [120, 80, 60])
@pytest.mark.parametrize("topic", manual.PAGES)
def test_a_page_fits_the_terminal(topic: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for code, whose lines are not broken."""
    page = manual.text(topic)
    code = {
        f"  {line}".rstrip() for block in re.findall(r"^```.*?^```", page, re.M | re.S) for line in block.split("\n")
    }
    long = [line.rstrip() for line in drawn(topic, width, monkeypatch).split("\n") if len(line.rstrip()) > width]
    assert [line for line in long if line not in code] == []


def test_no_value_of_a_table_is_lost_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = re.sub(r"\s", "", drawn("settings", 40, monkeypatch))
    wide = re.sub(r"\s", "", drawn("settings", 200, monkeypatch))
    for setting in ("reserved_concurrency", "max_receive_count", "alarm_worker_failures"):
        assert setting in narrow
        assert setting in wide


def test_a_link_to_a_page_is_shown_as_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = drawn("tutorial", 80, monkeypatch)
    assert "rtp docs promises" in shown
    assert "promises.md" not in shown
    assert "](" not in shown


def test_commands_in_code_are_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    page = "```console\n$ rtp send " + "x" * 100 + "\n```\n"
    monkeypatch.setenv("COLUMNS", "60")
    stdout = Terminal()
    Output(stdout=stdout).page(page)
    assert f"rtp send {'x' * 100}" in _CODES.sub("", stdout.getvalue())


def test_completion_offers_pages_and_codes_of_which_the_beginning_is_typed() -> None:
    assert dict(docs._topics("inc")) == {"incident": manual.PAGES["incident"].summary}
    assert {topic for topic, _ in docs._topics("")} == set(manual.PAGES)
    assert dict(docs._topics("wrong")) == {"wrong-account": "error code"}


def test_the_list_has_each_page_under_its_kind() -> None:
    tables = [element for element in docs._list() if isinstance(element, Table)]
    names = [str(row[0].text).strip() for table in tables for row in table.rows if isinstance(row[0], Text)]
    assert sorted(names) == sorted(manual.PAGES)
    assert draw.flat(docs._list()[-1]) == "next  rtp docs tutorial"


def test_the_pages_are_those_of_the_package_where_it_has_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "cost.md").write_text("# Cost of this version\n")
    monkeypatch.setattr(manual, "PACKAGE", tmp_path)
    assert manual.text("cost") == "# Cost of this version\n"


def test_words_that_are_no_topic_list_the_sections_that_have_them() -> None:
    done = rtp("docs", "table", "throttles")
    assert done.returncode == 0
    said = done.stdout.split("\n")
    found = said.index("promises  What happens to my event if …")
    assert said[found + 1].strip().startswith("the table throttles, or DynamoDB is down · /process:")
    assert found <= 2  # the tutorial, which leads there, may stand before it
    assert [hit.topic for hit in manual_search.find(["nonexistentword"])] == []
    unknown = rtp("docs", "nonexistentword")
    assert (unknown.returncode, unknown.stdout) == (2, "")


def test_a_table_of_prose_is_drawn_row_by_row_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = drawn("promises", 80, monkeypatch)
    assert re.search(r"^after the 2xx +the attempt ends as an outage", shown, re.M)
