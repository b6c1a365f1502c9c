"""Node and the CDK CLI come from wheels, and print nothing else on the user's terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from rtp.infra import toolchain

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_cdk_cli_runs_on_the_wheels_node() -> None:
    # Given: a PATH without any Node.
    done = subprocess.run(
        [*toolchain.cdk(), "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/nonexistent", "HOME": os.environ.get("HOME", "/"), **toolchain.environment()},
        check=True,
    )

    # Then: the pinned version answers, and nothing else is printed.
    assert done.stdout.startswith("2.1146.1")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_node_is_a_version_that_jsii_supports() -> None:
    done = subprocess.run([str(toolchain.node()), "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout.removeprefix("v").split(".")[0]) >= 22


def test_jsii_prints_no_banner() -> None:
    script = "import jsii; from constructs import Construct"
    environment = {**os.environ, **toolchain.environment(), **toolchain.bytecode()}
    argv = [sys.executable, "-P", "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=environment, check=True)
    assert done.stdout + done.stderr == ""


def test_the_child_caches_bytecode_where_python_does_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given: a Python that does not write bytecode.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    # Then: the child writes it to the user's cache folder.
    variables = toolchain.bytecode()
    assert variables["PYTHONPYCACHEPREFIX"] == str(tmp_path / "cache" / "rtp" / "bytecode")
    assert variables["PYTHONDONTWRITEBYTECODE"] == ""


def test_bytecode_stays_where_python_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    assert toolchain.bytecode() == {}


def test_the_version_of_the_construct_library_is_known_without_importing_it() -> None:
    assert "2.275.0" in toolchain.cdk_lib()
    assert "aws_cdk" not in sys.modules
