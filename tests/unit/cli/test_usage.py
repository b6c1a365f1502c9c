"""What a mistyped command line is answered: what it takes instead."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def fix(cwd: Path, *argv: str) -> tuple[str, str]:
    """The error and the fix of a command line that the parser refuses."""
    done = subprocess.run(
        [sys.executable, "-m", "rtp", *argv], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    error, _, hint = done.stderr.strip().partition("\n  fix: ")
    return error.removeprefix("error: "), hint


@pytest.mark.parametrize(
    ("argv", "error", "hint"),
    [
        (["show"], "Missing argument 'ID'.", "Write `rtp show ID`. ID: The event's id"),
        (["keys", "rotate"], "Missing argument 'NAME'.", "Write `rtp keys rotate NAME`. NAME: Name of the client"),
        (["status", "prod"], "`rtp status` takes no argument 'prod'.", "An environment is given as `--env=prod`."),
        (["status", "blue"], "`rtp status` takes no argument 'blue'.", "An environment is given as `--env=blue`."),
        (["status", "green"], "`rtp status` takes no argument 'green'.", "See `rtp status --help`."),
        (
            ["records", "order-1"],
            "`rtp records` takes no argument 'order-1'.",
            "is given as `--id=order-1`.",
        ),
        (["show", "a", "b"], "`rtp show ID` takes no further argument 'b'.", "See `rtp show --help`."),
        (["dlq", "order-1"], "No such command 'order-1'.", "One event: `rtp dlq inspect --id=order-1`."),
        (["help", "throttling"], "No such command 'throttling'.", "`rtp docs throttling` searches the manual."),
        (["throttling"], "No such command 'throttling'.", "`rtp docs WORD` searches the manual."),
        (["keys", "lst"], "No such command 'lst'. Did you mean 'list'?", "Use one of create, list, revoke, rotate."),
        (["traces", "shwo"], "No such command 'shwo'. Did you mean 'show'?", "Use show."),
        (["records", "--since", "foo"], "--since: 'foo' is not a time.", "Examples: 5m, 1h30m"),
        (["logs", "--until", "foo"], "--until: 'foo' is not a time.", "Examples: 5m, 1h30m"),
        (["dlq", "inspect", "--until", "foo"], "--until: 'foo' is not a time.", "Examples: 5m, 1h30m"),
        (["replay", "--since", "x" * 101], "--since: a time of 101 characters is no time.", "Examples: 5m, 1h30m"),
        (["records", "--limit", "x"], "Invalid value for '--limit': 'x' is not a number.", "See `rtp records --help`."),
    ],
)
def test_a_refused_command_line_is_answered_with_what_it_takes(
    tmp_path: Path, argv: list[str], error: str, hint: str
) -> None:
    (tmp_path / "rtp.toml").write_text("[env.blue]\n")

    said = fix(tmp_path, *argv)

    assert said[0] == error
    assert hint in said[1]


@pytest.mark.parametrize("command", ["traces", "history"])
def test_an_id_behind_a_list_is_shown(tmp_path: Path, command: str) -> None:
    """The engine is not running; without `show` the word is refused before that is met."""
    (tmp_path / "rtp.toml").touch()
    done = subprocess.run(
        [sys.executable, "-m", "rtp", command, "order-1", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 4
    assert "engine-stopped" in done.stdout
