"""The Lambda code asset: rtp's version, rtp.runtime and the user's processors, which are checked first."""

from __future__ import annotations

import sys
import tempfile
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING

import rtp
from rtp.errors import ConfigError
from rtp.infra import archive, packing
from rtp.infra.packing import Selection
from rtp.runtime import wire

if TYPE_CHECKING:
    from rtp.infra.packing import Sources

_PACKAGE = Path(rtp.__file__).parent
# A module of such a name at the root of the asset would hide one that the runtime imports.
_RESERVED = frozenset({"rtp", "boto3", "botocore", "aws_xray_sdk", "wrapt", *sys.stdlib_module_names})
_USUAL = "processors"  # the module that a source folder is expected to have


def code(folder: Path, entries: list[archive.Entry], shape: str = "") -> Path:
    """Pack the code asset into a folder, named by its contents and shape; an intact one is reused.

    shape: what else makes a release: the layer and the functions' settings.
    The release is a file in the zip. An environment variable would arrive by another call than the code, so that a
    hotswap or an update of an unpublished function would run one release under the name of another for a moment; and
    a published version has this file and no other.
    """
    parts = [part for path, file in entries for part in (path, file.read_bytes())]
    name = archive.digest([shape, *parts])[:16]
    target = folder / f"code-{name}.zip"
    if archive.is_intact(target):
        return target
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "release")
        file.write_text(release(target))
        return archive.keep(target, [*entries, (wire.RELEASE_FILE, file)])


def release(packed: Path) -> str:
    """The release that a code asset is."""
    return packed.stem.removeprefix("code-")[: wire.RELEASE_LENGTH]


def entries(selection: Selection) -> list[archive.Entry]:
    """The files of the code asset, sorted, as (path in the zip, file)."""
    runtime = [("rtp/__init__.py", _PACKAGE / "__init__.py"), *archive.tree(_PACKAGE / "runtime", "rtp/runtime/")]
    return sorted([*runtime, *selection.entries])


def module(sources: Sources | None) -> str:
    """Module name by which the runtime imports the processors; empty without any. Raises ConfigError."""
    if sources is None:
        return ""
    if sources.is_folder:
        return _module_in(sources.path)
    return sources.path.stem if sources.path.is_file() else sources.path.name


def check(sources: Sources | None) -> Selection:
    """Select the files of the user's code, and check that Lambda could import them. Runs none of them.

    Raises ConfigError for processors that are missing, misnamed or not Python.
    """
    if sources is None:
        return Selection()
    path = sources.path
    if not path.exists():
        raise ConfigError(
            f"The processors {path} do not exist.",
            hint="Fix `path` under [processors] in rtp.toml, or create processors with `rtp init`.",
            code="processors",
        )
    if path.is_file() and path.suffix != ".py":
        raise ConfigError(
            f"{path} is not a Python file.", hint="Give a .py file, a package or a source folder.", code="processors"
        )
    name = module(sources)
    if not name.isidentifier() or iskeyword(name) or name in _RESERVED:
        raise ConfigError(
            f"The processors cannot be imported as {name!r}.",
            hint="Rename it to, say, processors.py.",
            code="processors",
        )
    selection = packing.select(sources)
    for packed, file in selection.entries:
        if packed.endswith(".py"):
            _compile(file)
    return selection


def _module_in(folder: Path) -> str:
    """The module of a source folder that declares the processors: `processors`, or the only one there is."""
    found = sorted(
        {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    )
    if _USUAL in found:
        return _USUAL
    if len(found) == 1:
        return found[0]
    what = f"has {len(found)} modules ({', '.join(found[:5])})" if found else "has no Python module"
    raise ConfigError(
        f"{folder} {what}, and none is named {_USUAL}.",
        hint=f"Name the file or package that declares the processors as `path`, or call it {_USUAL}.py.",
        code="processors",
    )


def _compile(file: Path) -> None:
    try:
        packing.parsed(file.read_bytes(), file)
    except SyntaxError as error:
        raise ConfigError(
            f"{file}:{error.lineno or 1}: {error.msg}", hint="Fix the line; nothing was deployed.", code="processors"
        ) from error
    except ValueError as error:  # a null byte
        raise ConfigError(f"{file}:1: {error}", hint="Save the file as UTF-8 text.", code="processors") from error
