"""Checks the user's processors before a deploy: the packed files, imported as Lambda imports them.

A child interpreter sees the unpacked zip, the packages of the layer and what Lambda itself brings, and neither the
project's folder nor the operator's environment, HOME or AWS profile.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rtp.errors import ConfigError, RtpError
from rtp.infra import archive, assets, layer, packing
from rtp.infra.requirements import Requirements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rtp.config import Environment
    from rtp.infra.packing import Sources

_TIMEOUT_S = 60
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w]+)")
_VARIABLE = re.compile(r"KeyError: '([A-Z][A-Z0-9_]*)'")
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
# Prints the problems and the number of processors as JSON, after anything that the processors themselves print.
_CHILD = """
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
from pathlib import Path
from rtp.runtime.loading import check
found = check(Path(given["module"]))
print()
print(json.dumps([found.problems, len(found.processors)]))
"""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the processors could not be checked in full, and the fix."""

    message: str
    fix: str


def sources_of(environment: Environment) -> Sources | None:
    """The user's code, as rtp.toml names it."""
    if environment.processors is None:
        return None
    return packing.Sources(environment.processors, environment.root, environment.include, environment.exclude)


def requirements_of(environment: Environment) -> Requirements | None:
    """The user's packages, as rtp.toml names them."""
    return None if environment.requirements is None else Requirements(environment.requirements)


def variables(environment: Environment) -> dict[str, str]:
    """What Lambda gives the processor's code in its environment, without anybody's credentials."""
    return {
        "AWS_REGION": environment.region,
        "AWS_DEFAULT_REGION": environment.region,
        "AWS_LAMBDA_FUNCTION_NAME": environment.names.processor,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(environment.settings.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{layer.PYTHON}",
        **environment.settings.environment,
    }


def check(environment: Environment, *, memo: Path | None = None) -> Doubt | None:
    """Import the processors. Raises ConfigError with file and line; returns a doubt where not all can be imported here.

    A file that declares no processor is no error.
    memo: a file with the digest of the code that was last found good, which is not imported again.
    """
    sources = sources_of(environment)
    if sources is None:
        return None
    entries = assets.entries(assets.check(sources))
    requirements = requirements_of(environment)
    given = variables(environment)
    contents = (part for name, file in entries for part in (name, file.read_bytes()))
    layer_print = layer.fingerprint(layer.Platform.here(), requirements)
    digest = archive.digest([sys.version, _CHILD, json.dumps(given, sort_keys=True), layer_print, *contents])
    if memo is not None and _remembered(memo) == digest:
        return None
    doubt = _imported(environment, sources, entries, requirements)
    if memo is not None and doubt is None:
        with contextlib.suppress(OSError):  # without a memo it is checked again next time
            memo.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            memo.write_text(digest)
    return doubt


def _remembered(memo: Path) -> str:
    try:
        return memo.read_text()
    except OSError:
        return ""


def _imported(
    environment: Environment, sources: Sources, entries: list[archive.Entry], requirements: Requirements | None
) -> Doubt | None:
    unbuilt = ""
    try:
        packages = layer.here(environment.state / "layers", requirements)
    except RtpError as error:
        packages, unbuilt = layer.Here((), layer.provided()), error.message
    with tempfile.TemporaryDirectory(prefix="rtp-check-") as scratch:
        code = Path(scratch, "code").resolve()
        archive.copy(entries, code)
        name = assets.module(sources)
        module = code / name if (code / name).is_dir() else code / f"{name}.py"
        problems, declared = _run(code, module, packages, variables(environment), Path(scratch))
        problems = [problem.replace(f"{code}{os.sep}", f"{sources.root}{os.sep}") for problem in problems]
    if not problems and not declared:
        text = f"{sources.path.name} declares no processors; every event is stored unchanged"
        return Doubt(text, "Declare one with @processor from rtp.runtime.")
    if not problems:
        return None
    missing = _MISSING.search(problems[0])
    if missing is not None and unbuilt and missing[1] != name:
        return Doubt(
            f"The processors were not checked: {missing[1]} cannot be had for this interpreter ({unbuilt}).",
            "Check the requirements, or use an interpreter for which the packages have builds.",
        )
    raise _fault(problems, missing[1] if missing else "", sources)


def _run(
    code: Path, module: Path, packages: layer.Here, given: Mapping[str, str], scratch: Path
) -> tuple[list[str], int]:
    """Import the module in a child. Returns what is wrong, and how many processors it declares."""
    argument = {
        "code": str(code),
        "module": str(module),
        "packages": [str(path) for path in packages.paths],
        "allowed": sorted(packages.allowed),
        "site": [path for path in sys.path if path and Path(path).name.endswith("-packages")],
    }
    argv = [sys.executable, "-I", "-S", "-B", "-c", _CHILD, json.dumps(argument)]
    environ = {name: os.environ[name] for name in _PASSED if name in os.environ} | {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LAMBDA_TASK_ROOT": str(code),
        "AWS_ACCESS_KEY_ID": "check",
        "AWS_SECRET_ACCESS_KEY": "check",
        "AWS_EC2_METADATA_DISABLED": "true",
        "RTP_CHECK": "1",
        **given,
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
        raise _refusal(f"importing {module.name} takes longer than {_TIMEOUT_S} s") from None
    except (ValueError, IndexError, TypeError):
        raise _refusal(f"importing {module.name} ended the interpreter (exit code {done.returncode})") from None
    return list(problems), int(declared)


def _fault(problems: list[str], missing: str, sources: Sources) -> ConfigError:
    """The refusal, with the setting that would help where there is one."""
    if missing and ((sources.root / missing).exists() or (sources.root / f"{missing}.py").exists()):
        return _refusal(problems[0], f"{missing} is not packed: name it under `include` of [processors] in rtp.toml.")
    if missing:
        listed = "name a file that lists its package under [processors] requirements in rtp.toml"
        return _refusal(problems[0], f"Fix the import, or {listed}; nothing was deployed.")
    variable = _VARIABLE.search(problems[0])
    if variable is not None and variable[1] in os.environ:
        setting = f'`environment = {{ {variable[1]} = "…" }}` under [defaults] or [env.NAME] in rtp.toml'
        return _refusal(problems[0], f"Functions do not get your shell's variables: set {setting}.")
    return _refusal("; ".join(problems))


def _refusal(what: str, fix: str = "Fix it; nothing was deployed.") -> ConfigError:
    return ConfigError(f"The processors do not work: {what}.", hint=fix, code="processors")
