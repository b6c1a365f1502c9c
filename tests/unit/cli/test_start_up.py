"""Which modules are loaded before a command does anything. Each was a large part of the start-up when it was."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LOADED = """
import json, sys
from rtp.__main__ import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(sys.modules)]), file=sys.stderr)
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


@pytest.mark.parametrize("command", ["records", "logs", "dlq", "send", "show", "replay"])
def test_the_help_of_a_command_loads_neither_settings_nor_synthesis_nor_clients(command: str) -> None:
    modules = loaded_by(command, "--help")
    assert f"rtp.commands.{command}" in modules
    assert not modules & {"rtp.ops.stack.build.processors", "importlib.metadata", "rich", *OTHERS}


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
