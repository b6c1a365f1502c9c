"""Runs the project's own tests by pytest: processors and rtp.runtime.testing can be imported, no AWS is in reach."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ConfigError
from rtp.infra import assets
from rtp.ops.stack.build import processors
from rtp.text import installing, suggest
from rtp.trust import project

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rtp.config import Environment

_MODULES = (".py", ".pyc", ".pth", ".so")
_CONFIGURATION = ("pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg")
_OF_AN_ENVIRONMENT = ("pyvenv.cfg", "bin", "bin/python", "lib", "lib/python*", "lib/python*/site-packages")
_SKIPPED = (".git", ".rtp", "node_modules")
_PROBE_S = 60.0
_PROBE = "import importlib.util as u, sys; sys.exit(0 if u.find_spec('pytest') and u.find_spec('rtp') else 1)"
_OUTCOMES = {0: "passed", 1: "failed", 2: "interrupted", 5: "none"}


@dataclass(frozen=True, slots=True)
class Tested:
    """One run of the project's tests.

    status: passed, failed, interrupted, none where pytest found no test, or error where it could not run them.
    exit_code: of pytest. python: the interpreter that ran them: the project's own, or rtp's.
    """

    status: str
    exit_code: int
    python: str


def interpreter(root: Path, environ: Mapping[str, str] = os.environ, *, own: str = sys.executable) -> str:
    """The interpreter that has pytest and rtp: the project's environment, the active one, or rtp's own.

    Raises ConfigError where none has them.
    """
    folders = [root / ".venv", root / "venv", *([Path(environ["VIRTUAL_ENV"])] if environ.get("VIRTUAL_ENV") else [])]
    pythons = [str(python) for folder in folders if (python := folder / "bin" / "python").exists()]
    for candidate in dict.fromkeys([*pythons, own]):
        if _has_pytest(candidate):
            return candidate
    raise ConfigError(
        "No interpreter here has pytest and rtp: neither the project's .venv nor rtp's own.",
        hint=suggest.sentence(
            "Install both into the project's environment: {}.",
            suggest.command("pip", "install", "pytest", installing.DISTRIBUTION),
        ),
        code="no-pytest",
    )


def run(environment: Environment, arguments: Sequence[str], *, quiet_stdout: bool) -> Tested:
    """Run pytest in the project's folder. Its output goes to the terminal; quiet_stdout: all of it to stderr.

    Raises ConfigError without pytest, RefusedError for code that another user can write.
    """
    project.check(environment.root, _code(environment.root))
    project.check_settings(environment.root.absolute(), (*_CONFIGURATION, "conftest.py"), "pytest", above=True)
    python = interpreter(environment.root)
    sources = processors.sources_of(environment)
    paths = [str(sources.root)] if sources is not None else []
    loaded = ["-p", assets.module(sources)] if sources is not None else []  # so that they are registered
    environ = variables(environment, os.environ) | {
        "PYTHONPATH": os.pathsep.join([*paths, str(environment.root), *_given(os.environ.get("PYTHONPATH"))])
    }
    argv = [python, "-m", "pytest", "--rootdir", str(environment.root), *loaded, *arguments]
    done = subprocess.run(argv, cwd=environment.root, env=environ, stdout=2 if quiet_stdout else None, check=False)
    return Tested(_OUTCOMES.get(done.returncode, "error"), done.returncode, python)


def _code(root: Path) -> Iterator[Path]:
    """What pytest may run or read as a setting: every folder and module of the project and its environments."""
    for base, folders, names in os.walk(root):
        environments = [name for name in folders if Path(base, name, "pyvenv.cfg").is_file()]
        for name in environments:
            for pattern in _OF_AN_ENVIRONMENT:
                yield from Path(base, name).glob(pattern)
        yield from (Path(base, name) for name in folders)
        yield from (Path(base, name) for name in names if name.endswith(_MODULES) or name in _CONFIGURATION)
        folders[:] = [name for name in folders if name not in (*_SKIPPED, *environments)]


def variables(environment: Environment, environ: Mapping[str, str]) -> dict[str, str]:
    """The shell's variables without anybody's AWS, and what Lambda gives the functions: tests reach no account."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("AWS_", "RTP_"))}
    return {
        **kept,
        **processors.variables(environment),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _given(value: str | None) -> list[str]:
    return [value] if value else []


def _has_pytest(python: str) -> bool:
    try:
        # -P: a module of the current folder, which may be /tmp, must not hide one of the standard library.
        done = subprocess.run([python, "-P", "-c", _PROBE], capture_output=True, timeout=_PROBE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
