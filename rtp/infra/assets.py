"""The Lambda code asset: rtp's version, rtp.runtime and the user's processors, checked before they are packed."""

from __future__ import annotations

import ast
import sys
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING

import rtp
from rtp.errors import ConfigError
from rtp.infra import archive

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE = Path(rtp.__file__).parent
# What a module at the root of the asset would hide from the runtime.
_RESERVED = frozenset({"rtp", "boto3", "botocore", "aws_xray_sdk", "wrapt", *sys.stdlib_module_names})


def code(folder: Path, processors: Path | None) -> Path:
    """Pack the code asset into folder, named after its contents; an existing one is used as it is."""
    entries = sorted(sources(processors))
    name = archive.digest(part for path, file in entries for part in (path, file.read_bytes()))[:16]
    target = folder / f"code-{name}.zip"
    return target if target.exists() else archive.keep(target, entries)


def sources(processors: Path | None) -> Iterator[archive.Entry]:
    """Files of the code asset, as (path in the zip, file)."""
    yield "rtp/__init__.py", _PACKAGE / "__init__.py"
    yield from archive.tree(_PACKAGE / "runtime", "rtp/runtime/")
    if processors is None:
        return
    if processors.is_dir():
        yield from archive.tree(processors, f"{processors.name}/")
    else:
        yield processors.name, processors


def module(processors: Path | None) -> str:
    """Name the runtime imports the processors by; empty without any."""
    return "" if processors is None else processors.stem if processors.is_file() else processors.name


def check(processors: Path | None) -> None:
    """Refuse processors that could not be imported in Lambda: missing, misnamed or not Python. Nothing is executed."""
    if processors is None:
        return
    if not processors.exists():
        raise ConfigError(
            f"The processors {processors} do not exist.",
            hint="Fix `path` under [processors] in rtp.toml, or make some with `rtp init`.",
            code="processors",
        )
    if processors.is_dir() and not (processors / "__init__.py").is_file():
        raise ConfigError(
            f"{processors} is not a package: it has no __init__.py.",
            hint=f"Create {processors / '__init__.py'}.",
            code="processors",
        )
    if processors.is_file() and processors.suffix != ".py":
        raise ConfigError(
            f"{processors} is not a Python file.", hint="Name a .py file or a package.", code="processors"
        )
    name = module(processors)
    if not name.isidentifier() or iskeyword(name) or name in _RESERVED:
        raise ConfigError(
            f"Processors cannot be imported as {name!r}.",
            hint="Rename it to, say, processors.py.",
            code="processors",
        )
    for path, file in sources(processors):
        if path.endswith(".py") and not path.startswith("rtp/"):
            _compile(file)


def _compile(file: Path) -> None:
    try:
        ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as error:
        raise ConfigError(
            f"{file}:{error.lineno or 1}: {error.msg}", hint="Fix the line; nothing was deployed.", code="processors"
        ) from error
    except ValueError as error:  # a null byte
        raise ConfigError(f"{file}:1: {error}", hint="Save the file as UTF-8 text.", code="processors") from error
