"""Which modules are loaded before a command does anything. Each was a large part of the start-up when it was."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rtp import cli

LOADED = """
import sys
from rtp.__main__ import main
try:
    main()
except SystemExit as end:
    modules = sorted(sys.modules)
    import json
    print(json.dumps([end.code, modules]), file=sys.stderr)
"""
OTHERS = ("boto3", "botocore", "msgspec", "simplejson", "jmespath", "rtp.config", "rtp.infra", "rtp.local", "asyncio")


def loaded_by(*args: str) -> set[str]:
    argv = [sys.executable, "-c", LOADED, *args]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    return set(modules)


def test_the_version_needs_typer_alone() -> None:
    modules = loaded_by("--version")
    assert "typer" in modules
    assert not modules & {"rich", "rtp.commands", "rtp.ops", "rtp.aws", "rtp.runtime", *OTHERS}


def test_the_list_of_commands_loads_no_command_and_is_drawn_without_rich() -> None:
    assert not loaded_by("--help") & {"rtp.commands", "rtp.ops", "rtp.aws", "rich", *OTHERS}


# The parts of rtp that do a command's work, apart from modules of options' types and of what waits.
OF_WORK = ("rtp.aws", "rtp.config", "rtp.infra", "rtp.local", "rtp.commands.render", "rtp.trust", "rtp.ops")
OF_OPTIONS = (
    "rtp.ops",
    "rtp.ops.access",
    "rtp.ops.access.calls",
    "rtp.ops.drill",
    "rtp.ops.drill.faults",
    "rtp.ops.events",
    "rtp.ops.events.sent",
    "rtp.ops.scaffold_examples",
    "rtp.ops.work",
    "rtp.ops.work.background",
    "rtp.ops.work.waiting",
)
HEAVY = ("rich", "boto3", "botocore", "msgspec", "simplejson", "jmespath", "asyncio", "json", "logging")
HEAVY_TOO = ("concurrent", "email", "socket", "zipfile", "importlib.metadata", "rtp.runtime.event")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_help_of_a_command_loads_its_options_and_nothing_of_its_work(command: str) -> None:
    modules = loaded_by(command, "--help")
    assert f"rtp.commands.{command}" in modules
    of_work = {name for name in modules if any(name == part or name.startswith(f"{part}.") for part in OF_WORK)}
    assert of_work - set(OF_OPTIONS) == set()
    assert modules & {*HEAVY, *HEAVY_TOO} == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_loads_no_rich(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_RTP_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "rtp rec")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv("COMP_WORDS", "rtp rec")
    monkeypatch.setenv("COMP_CWORD", "1")
    script = f"import sys\nsys.argv[0] = 'rtp'\n{LOADED}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    _, modules = json.loads(done.stderr.splitlines()[-1])
    assert "records" in done.stdout
    assert not [name for name in modules if name.startswith("rich.")]
