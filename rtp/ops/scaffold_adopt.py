"""What a folder with code has already: the code that declares processors, and the file that lists its packages."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from rtp.infra import declared, packing

_MODULES = 2_000  # of a large folder, the first ones are read
_DEPTH = 4
_TOOLS = frozenset({"conftest.py", "setup.py", "noxfile.py", "fabfile.py", "tasks.py", "manage.py"})
_LISTS = ("uv.lock", "pylock.toml", "requirements.txt")


@dataclass(frozen=True, slots=True)
class Code:
    """A folder's code. path: the file or package with processors, below the folder; None where no code declares one.

    others: further files with processors, which are packed only if the path imports them.
    requirements: the file that lists the packages; None without one.
    """

    path: str | None
    others: tuple[str, ...] = ()
    requirements: str | None = None


def code_of(folder: Path) -> Code | None:
    """The code in a folder; None where there is none."""
    modules = _modules(folder)
    if not modules:
        return None
    owners = list(dict.fromkeys(_owner(folder, module) for module in modules if declared.declares(folder / module)))
    owners.sort(key=lambda path: (path.stem != "processors", str(path)))
    if not owners and Path("processors.py") in modules:
        owners = [Path("processors.py")]
    first = owners[0].as_posix() if owners else None
    return Code(first, tuple(path.as_posix() for path in owners[1:]), _requirements(folder))


def _modules(folder: Path) -> list[Path]:
    """Modules below the folder, but for tests, environments and tools."""
    modules: list[Path] = []
    for place, children, names in os.walk(folder):
        below = Path(place).relative_to(folder)
        children[:] = sorted(
            child
            for child in children
            if not child.startswith(".")
            and not packing.is_left_out(child)
            and not Path(place, child, "pyvenv.cfg").exists()
            and len(below.parts) < _DEPTH
        )
        modules += [
            below / name
            for name in sorted(names)
            if name.endswith(".py")
            and name not in _TOOLS
            and not packing.is_left_out(name)
            and Path(place, name).is_file()  # a reader would wait at a pipe
        ]
        if len(modules) > _MODULES:
            break
    return modules[:_MODULES]


def _owner(folder: Path, module: Path) -> Path:
    """The outermost package that a module is in, or the module itself."""
    packages = [parent for parent in module.parents if parent.name and (folder / parent / "__init__.py").is_file()]
    return packages[-1] if packages else module


def _requirements(folder: Path) -> str | None:
    for name in _LISTS:
        if (folder / name).is_file():
            return name
    if not (folder / "pyproject.toml").is_file():
        return None
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError, RecursionError):
        return None
    return "pyproject.toml" if isinstance(project, dict) and project.get("dependencies") else None
