"""Imports the packed processors in a child interpreter, as Lambda imports them.

The child sees the unpacked zip, the packages of the layer and what Lambda itself brings, and neither the project's
folder nor the operator's environment, HOME or AWS profile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtp.errors import ConfigError
from rtp.infra import archive, assets
from rtp.trust import search_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.infra.layer import Here
    from rtp.infra.packing import Sources

_TIMEOUT_S = 180  # a compiled package such as pandas takes minutes on a machine that is busy
PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Of the operator's environment, what a child interpreter gets."""
PACKED = """
import json, sys
from importlib.machinery import PathFinder
given = json.loads(sys.argv[1])
class Installed:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if path is None and name.partition(".")[0] in given["allowed"]:
            return PathFinder.find_spec(name, given["site"])
sys.path[:0] = [given["code"], *given["packages"]]
sys.meta_path.append(Installed)
"""
"""The beginning of a child's program: it imports the packed code first, and of what is installed the functions' alone.

`given` is the JSON of its argument, with `code`, `packages`, `allowed` and `site`.
"""
# Prints the problems and the processors as JSON, after anything that the processors themselves print.
_CHILD = (
    PACKED
    + """
from pathlib import Path
from rtp.runtime import secrets
from rtp.runtime.loading import check
secrets.give({name: "dummy-value-of-the-check" for name in given["secrets"]})
found = check(Path(given["module"]))
print()
print(json.dumps([found.problems, [
    [p.type, p.function.__name__, p.where, getattr(p.data, "__name__", p.data and repr(p.data)), p.is_async]
    for p in found.processors
]]))
"""
)
VERSION = f"{sys.version}\n{_CHILD}"
"""Changes with what decides the result of an import beside the code itself."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One processor.

    type: of the events that it gets. function: its name. where: file:line of its definition.
    model: the name of the model that the event's data must match; null without one. is_async: an `async def`.
    """

    type: str
    function: str
    where: str
    model: str | None
    is_async: bool


@dataclass(frozen=True, slots=True)
class Imported:
    """What the module declares, and what is wrong with it, each problem as `file:line: why`."""

    processors: tuple[Declared, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """What the module has when it is imported. secrets: names; their values are made up."""

    packages: Here
    variables: Mapping[str, str]
    secrets: tuple[str, ...] = ()


def imported(sources: Sources, entries: list[archive.Entry], given: Given) -> Imported:
    """Import the user's module out of the packed files. Raises ConfigError where that ends or blocks the child."""
    with tempfile.TemporaryDirectory(prefix="rtp-check-") as scratch:
        code = Path(scratch, "code").resolve()
        archive.copy(entries, code)
        name = assets.module(sources)
        module = code / name if (code / name).is_dir() else code / f"{name}.py"
        problems, declared = _run(code, module, given, Path(scratch))

    def as_written(text: str) -> str:
        return text.replace(f"{code}{os.sep}", f"{sources.root}{os.sep}")

    processors = (Declared(t, function, as_written(where), *rest) for t, function, where, *rest in declared)
    return Imported(tuple(processors), tuple(map(as_written, problems)))


def refusal(what: str, fix: str = "Fix it; nothing was deployed.") -> ConfigError:
    """The error that refuses processors."""
    return ConfigError(f"The processors do not work: {what}.", hint=fix, code="processors")


def _run(code: Path, module: Path, given: Given, scratch: Path) -> tuple[list[str], list[list[Any]]]:
    argument = {
        "code": str(code),
        "module": str(module),
        "packages": [str(path) for path in given.packages.paths],
        "allowed": sorted(given.packages.allowed),
        "secrets": given.secrets,
        "site": [path for path in sys.path if path and Path(path).name.endswith("-packages")],
    }
    argv = [sys.executable, "-I", "-S", "-B", "-c", _CHILD, json.dumps(argument)]
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    environ = search_paths.absolute(passed) | {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LAMBDA_TASK_ROOT": str(code),
        "AWS_ACCESS_KEY_ID": "check",
        "AWS_SECRET_ACCESS_KEY": "check",
        "AWS_EC2_METADATA_DISABLED": "true",
        "RTP_CHECK": "1",
        **given.variables,
    }
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environ,
            cwd=code,
            timeout=_TIMEOUT_S,
            check=False,
        )
        problems, declared = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        raise refusal(f"importing {module.name} takes longer than {_TIMEOUT_S} s") from None
    except (ValueError, IndexError, TypeError):
        raise refusal(f"importing {module.name} ended the interpreter (exit code {done.returncode})") from None
    return list(problems), list(declared)
