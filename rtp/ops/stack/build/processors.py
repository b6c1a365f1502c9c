"""Checking the user's processors before anything is deployed: imported in a child interpreter, as Lambda will."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.errors import ConfigError
from rtp.infra import archive, assets

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_S = 60
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w]+)")
# Prints what is wrong and how many there are as JSON, below what the processors themselves may print.
_CHILD = """
import json, sys
from pathlib import Path
from rtp.runtime.loading import check
found = check(Path(sys.argv[1]))
print()
print(json.dumps([found.problems, len(found.processors)]))
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why it is not certain that all is well, and the fix."""

    message: str
    fix: str


def check(processors: Path | None, requirements: Path | None, *, memo: Path | None = None) -> Doubt | None:
    """Import them. Raises ConfigError that says file and line; returns a doubt where they cannot be imported here.

    A package out of the user's requirements need not be installed in this interpreter, so its absence is no error;
    nor is a file that declares no processor.
    memo: a file that remembers what was fine, so that the same code is not imported again.
    """
    if processors is None:
        return None
    assets.check(processors)
    entries = sorted(assets.sources(processors))
    digest = archive.digest(
        [sys.version, _CHILD, *(part for name, file in entries for part in (name, file.read_bytes()))]
    )
    if memo is not None and _remembered(memo) == digest:
        return None
    doubt = _imported(processors, requirements)
    if memo is not None and doubt is None:
        with contextlib.suppress(OSError):  # then it is checked again next time
            memo.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            memo.write_text(digest)
    return doubt


def _remembered(memo: Path) -> str:
    try:
        return memo.read_text()
    except OSError:
        return ""


def _imported(processors: Path, requirements: Path | None) -> Doubt | None:
    argv = [sys.executable, "-P", "-c", _CHILD, str(processors)]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1", "AWS_EC2_METADATA_DISABLED": "true", "RTP_CHECK": "1"}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=environ, timeout=_TIMEOUT_S, check=False)
        found, declared = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise _wrong(f"importing {processors} takes longer than {_TIMEOUT_S} s") from None
    except (ValueError, IndexError, TypeError):
        raise _wrong(f"importing {processors} ended the interpreter (exit code {done.returncode})") from None
    if not found and not declared:
        said = f"no processors in {processors.name}; every event is stored as it came"
        return Doubt(said, "Declare one with @processor, of rtp.runtime.")
    if not found:
        return None
    missing = _MISSING.search(found[0])
    if missing is None or missing[1] == assets.module(processors):
        raise _wrong("; ".join(found))
    if requirements is None:
        listed = "name a file that lists it under [processors] requirements in rtp.toml"
        raise _wrong(found[0], f"Fix the import, or {listed}; nothing was deployed.")
    return Doubt(
        f"The processors could not be checked: the package {missing[1]} is not installed on this machine.",
        "Install the project's requirements here to have them checked.",
    )


def _wrong(what: str, fix: str = "Fix it; nothing was deployed.") -> ConfigError:
    return ConfigError(f"The processors do not work: {what}.", hint=fix, code="processors")
