"""Checks the user's processors before a deploy: the packed files, imported as Lambda imports them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rtp.config import code_paths, reading
from rtp.errors import ConfigError, RtpError
from rtp.infra import archive, assets, declared, layer, packing
from rtp.infra.requirements import Requirements
from rtp.ops.stack.build.importing import VERSION, Given, Imported, imported, refusal
from rtp.trust import private, project

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rtp.config import Environment
    from rtp.infra.packing import Sources

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w]+)")
_VARIABLE = re.compile(r"KeyError: '([A-Z][A-Z0-9_]*)'")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the processors could not be checked in full, and the fix."""

    message: str
    fix: str


def sources_of(environment: Environment) -> Sources | None:
    """The user's code, as rtp.toml names it. Raises ConfigError where that is not there."""
    path = code_paths.processors(environment)
    if path is None:
        return None
    return packing.Sources(path, environment.root, environment.include, environment.exclude)


def requirements_of(environment: Environment) -> Requirements | None:
    """The user's packages, as rtp.toml names them.

    Raises ConfigError where that file is not there, or one of them is a pipe or a device, which may have no end;
    RefusedError for a file of them that another user can write.
    """
    file = code_paths.requirements(environment)
    if file is None:
        return None
    requirements = Requirements(file, environment.requirement_extras, environment.requirement_groups)
    for path in requirements.files():  # and the wheels and folders that it names: their code runs here, and in Lambda
        project.check_code(environment.root, environment.root, [path])
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise ConfigError(
                f"{path}, of the requirements, is a {reading.kind_of(path)} and no file.",
                hint="Name a file; rtp reads each of them to its end.",
                code="requirements",
            )
        if path.is_dir():
            project.check_code(environment.root, path, (file for _, file in archive.tree(path)))
    return requirements


def declared_types(environment: Environment) -> frozenset[str] | None:
    """Types of events that have a processor, read without running the code; None where that does not show them.

    Raises ConfigError and OSError where the code is not there.
    """
    sources = sources_of(environment)
    return None if sources is None else declared.types(sources)


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
    layer_print = layer.fingerprint(layer.platform_of(environment), requirements)
    digest = archive.digest(
        [VERSION, json.dumps(given, sort_keys=True), *environment.settings.secrets, layer_print, *contents]
    )
    if memo is not None and _remembered(memo) == digest:
        return None
    _, doubt = examine(environment, sources, entries, requirements)
    if memo is not None and doubt is None:
        with contextlib.suppress(OSError):  # without a memo it is checked again next time
            project.below(memo.parent)
            private.write(memo, digest)
    return doubt


def _remembered(memo: Path) -> str:
    if private.doubt(memo) or private.doubt(memo.parent):
        return ""
    try:
        return private.read(memo)
    except (OSError, UnicodeError):
        return ""


def examine(
    environment: Environment, sources: Sources, entries: list[archive.Entry], requirements: Requirements | None
) -> tuple[Imported, Doubt | None]:
    """Import the packed files once: what they declare, and what could not be checked. Raises ConfigError."""
    packages, lock, reason = available(environment, requirements)
    result = imported(sources, entries, Given(packages, variables(environment), tuple(environment.settings.secrets)))
    if not result.problems and not result.processors:
        text = f"{sources.path.name} declares no processors; every event is stored unchanged"
        return result, Doubt(text, "Declare one with @processor from rtp.runtime.")
    if not result.problems:
        return result, None
    missing = _MISSING.search(result.problems[0])
    is_packed = missing is not None and missing[1] == assets.module(sources)
    if missing is not None and reason and not is_packed and (lock is None or layer.provides(lock, missing[1])):
        return result, Doubt(
            f"The processors were not checked: {missing[1]} cannot be had for this interpreter ({reason}).",
            "Check the requirements, or use an interpreter for which the packages have builds.",
        )
    if missing is not None and environment.settings.layers and not _is_beside(missing[1], sources):
        return result, Doubt(
            f"The processors were not checked: {missing[1]} is not packed; one of `layers` must have it.",
            "Check that a layer has the module, or name its package in the requirements.",
        )
    raise _fault(result.problems, missing[1] if missing else "", sources)


def available(environment: Environment, requirements: Requirements | None) -> tuple[layer.Here, Path | None, str]:
    """The packages that an import on this machine can use, in the versions that Lambda gets.

    With the layer for Lambda, and the reason where not all of the user's packages can be had.
    """
    folder, lock = environment.state / "layers", None
    try:
        if requirements is not None and not environment.embedded:
            lock = layer.build(folder, layer.platform_of(environment), requirements)
        packages = layer.here(folder, requirements, lock)
    except RtpError as error:
        return layer.Here((), layer.provided()), lock, error.message
    version = ".".join(map(str, sys.version_info[:2]))
    reason = f"no build of {', '.join(packages.unbuilt)} for Python {version}" if packages.unbuilt else ""
    return packages, lock, reason


def _is_beside(module: str, sources: Sources) -> bool:
    return (sources.root / module).exists() or (sources.root / f"{module}.py").exists()


def _fault(problems: Sequence[str], missing: str, sources: Sources) -> RtpError:
    """The refusal, with the setting that would help where there is one."""
    if missing and _is_beside(missing, sources):
        return refusal(problems[0], f"{missing} is not packed: name it under `include` of [processors] in rtp.toml.")
    if missing:
        listed = "name a file that lists its package under [processors] requirements in rtp.toml"
        return refusal(problems[0], f"Fix the import, or {listed}; nothing was deployed.")
    variable = _VARIABLE.search(problems[0])
    if variable is not None and variable[1] in os.environ:
        setting = f'`environment = {{ {variable[1]} = "…" }}` under [defaults] or [env.NAME] in rtp.toml'
        return refusal(problems[0], f"Functions do not get your shell's variables: set {setting}.")
    return refusal("; ".join(problems))
