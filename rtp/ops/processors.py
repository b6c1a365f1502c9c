"""Checking the user's processors before anything is deployed: imported in a child interpreter, as Lambda will."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from rtp.errors import ConfigError
from rtp.infra import archive, assets

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_S = 60
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w]+)")
# Prints one JSON object: what is wrong, and the types that have a processor.
_CHILD = """
import json, sys
from rtp.runtime.loading import load
from rtp.runtime.registry import REGISTRY
sys.path.insert(0, sys.argv[2])
load(sys.argv[1], REGISTRY)
print()
print(json.dumps({"failure": REGISTRY.failure and str(REGISTRY.failure), "types": [p.type for p in REGISTRY]}))
"""


def check(processors: Path | None, requirements: Path | None, *, memo: Path | None = None) -> str | None:
    """Import them. Raises ConfigError that says file and line; returns a warning where they cannot be imported here.

    A package out of the user's requirements need not be installed in this interpreter, so its absence is no error.
    memo: a file that remembers what was fine, so that the same code is not imported again.
    """
    if processors is None:
        return None
    assets.check(processors)
    entries = sorted(assets.sources(processors))
    digest = archive.digest([sys.version, *(part for name, file in entries for part in (name, file.read_bytes()))])
    if memo is not None and _remembered(memo) == digest:
        return None
    warning = _imported(processors, requirements)
    if memo is not None and warning is None:
        with contextlib.suppress(OSError):  # then it is checked again next time
            memo.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            memo.write_text(digest)
    return warning


def _remembered(memo: Path) -> str:
    try:
        return memo.read_text()
    except OSError:
        return ""


def _imported(processors: Path, requirements: Path | None) -> str | None:
    argv = [sys.executable, "-P", "-c", _CHILD, assets.module(processors), str(processors.parent)]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1", "AWS_EC2_METADATA_DISABLED": "true", "RTP_CHECK": "1"}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=environ, timeout=_TIMEOUT_S, check=False)
        found = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise _wrong(f"importing {processors} takes longer than {_TIMEOUT_S} s") from None
    except (ValueError, IndexError):
        raise _wrong(f"importing {processors} ended the interpreter (exit code {done.returncode})") from None
    if not found["failure"]:
        return None
    missing = _MISSING.search(found["failure"])
    if missing and requirements is not None and missing[1] != assets.module(processors):
        return f"The processors could not be checked: the package {missing[1]} is not installed on this machine."
    raise _wrong(found["failure"].replace("ProcessorError: ", ""))


def _wrong(what: str) -> ConfigError:
    return ConfigError(f"The processors do not work: {what}.", hint="Mend it; nothing was deployed.", code="processors")
