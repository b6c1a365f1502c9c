"""The help of commands: panels, columns and widths, and what a terminal and a pipe get."""

from __future__ import annotations

import io
from enum import StrEnum
from typing import Annotated

import pytest
import typer

from rtp import cli
from rtp.commands.options import new_app
from rtp.terminal.width import columns


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Colour(StrEnum):
    RED = "red"


def help_of(monkeypatch: pytest.MonkeyPatch, *args: str, width: int = 80, terminal: bool = False, **env: str) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)
    command, *rest = args
    cli.load(command).main(args=[*rest, "--help"], prog_name=f"rtp {command}", standalone_mode=False)
    return stream.getvalue()


def test_options_are_in_panels_with_what_they_take_and_their_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    text = help_of(monkeypatch, "records", width=110)
    usage, what, details, options, where, output = text.rstrip().split("\n\n")
    assert usage == "Usage: rtp records [OPTIONS]"
    assert what == "List stored records by status, type and time."
    assert details.startswith("--error, --group")
    assert [panel.split("\n")[0] for panel in (options, where, output)] == ["Options", "Where", "Output"]
    rows = options.split("\n")
    assert "  --limit N              Maximum number of records, the newest first. [default: 50; 1 to 100000]" in rows
    assert "  --status TEXT          Only this status: processing, processed, failed or dead; repeatable." in rows
    assert where.split("\n")[1].startswith("  --project-dir, -C DIR  Folder of the project.")


def test_an_option_that_takes_one_of_a_few_words_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\n  --via api|events|sqs " in help_of(monkeypatch, "send")
    assert "Output format. One of short, detailed, raw, json. [default: short]" in help_of(
        monkeypatch, "logs", width=120
    )
    assert "policy of a role: reader, operator or deployer.\n" in help_of(monkeypatch, "doctor", width=120)


def test_arguments_come_first_and_subcommands_last(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = help_of(monkeypatch, "show")
    assert shown.startswith("Usage: rtp show [OPTIONS] ID\n")
    assert shown.index("\nArguments\n  ID  ") < shown.index("\nOptions\n  --html FILE")
    group = help_of(monkeypatch, "dlq")
    assert group.index("\nOptions\n  --help, -h  Show") < group.index("\nCommands\n  ")


@pytest.mark.parametrize("width", [30, 40, 60, 80])
@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_help_fits_the_terminal(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in help_of(monkeypatch, name, width=width).split("\n"):
        words = [word for word in line.split("`")[1::2] + line.split() if len(word) > width - 6]
        assert columns(line) <= width or words, line


def test_a_wide_terminal_does_not_make_long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(map(len, help_of(monkeypatch, "records", width=300).split("\n"))) <= 120


def test_a_terminal_gets_colours_and_a_pipe_or_no_color_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[36m--limit N\x1b[0m" in help_of(monkeypatch, "records", terminal=True)
    monochrome = help_of(monkeypatch, "records", terminal=True, NO_COLOR="1")
    assert "\x1b[1mOptions\x1b[0m" in monochrome
    assert "\x1b[36m" not in monochrome
    assert "\x1b" not in help_of(monkeypatch, "records", terminal=True, TERM="dumb")
    assert "\x1b" not in help_of(monkeypatch, "records")


def test_hidden_ones_are_left_out_and_long_names_have_a_line_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    app = new_app()

    @app.command()
    def paint(
        colour: Annotated[Colour, typer.Option("--a-long-name-of-a-colour-of-the-wall", help="The [red] one.")],
        secret: Annotated[str, typer.Option("--secret", hidden=True)] = "",
        dry: Annotated[bool, typer.Option("--dry/--wet", help="How.")] = True,
    ) -> None:
        """Paint."""

    monkeypatch.setattr("sys.stdout", stream := io.StringIO())
    typer.main.get_command(app).main(args=["--help"], prog_name="paint", standalone_mode=False)
    assert stream.getvalue().split("\n")[4:] == [
        "Options",
        "  --a-long-name-of-a-colour-of-the-wall red",
        "                The [red] one. [required]",
        "  --dry, --wet  How. [default: dry]",
        "  --help, -h    Show this message and exit.",
        "",
    ]
