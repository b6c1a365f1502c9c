"""Which modules are loaded before a command does anything. Each was a large part of the start-up when it was."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from rtp.terminal import help_imports

if TYPE_CHECKING:
    from pathlib import Path

LOADED = """
import json, sys
from rtp.__main__ import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)
"""
OTHERS = ("boto3", "botocore", "msgspec", "simplejson", "jmespath", "rtp.config", "rtp.infra", "rtp.local", "asyncio")
OF_HELP = ("rich.markdown", "rich.traceback", "markdown_it", "pygments", "attr", "rich.syntax")


def loaded_by(*args: str) -> set[str]:
    argv = [sys.executable, "-c", LOADED, *args]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    return set(modules)


def test_the_version_needs_typer_alone() -> None:
    modules = loaded_by("--version")
    assert "typer" in modules
    assert not modules & {"rich", "rtp.commands", "rtp.ops", "rtp.aws", "rtp.runtime", *OTHERS, *OF_HELP}


def test_the_list_of_commands_loads_no_command_and_of_rich_what_it_prints_with() -> None:
    modules = loaded_by("--help")
    assert "rich.console" in modules
    assert not modules & {"rtp.commands", "rtp.ops", "rtp.aws", "rtp.runtime", *OTHERS, *OF_HELP}


@pytest.mark.parametrize("command", ["records", "logs", "dlq", "send", "show", "replay"])
def test_the_help_of_a_command_loads_neither_settings_nor_synthesis_nor_clients(command: str) -> None:
    modules = loaded_by(command, "--help")
    assert f"rtp.commands.{command}" in modules
    assert not modules & {"rtp.ops.stack.build.processors", "importlib.metadata", *OTHERS, *OF_HELP}


CHECK = """
from rtp.terminal import help_imports
help_imports.install()
import sys
import typer.rich_utils as help
text = help.Markdown("a **b**")
from rich.markdown import Markdown
assert type(text) is Markdown and isinstance(text, help.Markdown)
try:
    1 / 0
except ZeroDivisionError as error:
    trace = help.Traceback.from_exception(type(error), error, error.__traceback__)
from rich.traceback import Traceback
assert type(trace) is Traceback and not isinstance("text", help.Traceback)
"""


def test_what_stands_in_during_the_import_gives_the_real_classes_later() -> None:
    subprocess.run([sys.executable, "-c", CHECK], timeout=60, check=True)


def test_a_module_that_cannot_be_made_with_stand_ins_gets_the_real_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shows_help.py").write_text("import absent_for_now\nassert absent_for_now.Thing.size == 1\n")
    (tmp_path / "absent_for_now.py").write_text("class Thing:\n    size = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(help_imports.REPLACED, "shows_help", {"absent_for_now": None})
    help_imports.install()
    shows_help = importlib.import_module("shows_help")
    assert shows_help.absent_for_now.Thing.size == 1
