"""Find, import and check the user's processors.

`load` is the function's own; `check` is for `rtp deploy` and `rtp run`, which call it in a child interpreter, since
importing a module runs it: `python -m rtp.runtime.loading PATH` prints the Report as JSON.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rtp.runtime import logs, models
from rtp.runtime.registry import REGISTRY, ProcessorError

if TYPE_CHECKING:
    from rtp.runtime.registry import Registry


class Declared(NamedTuple):
    """A processor as it was found; `where` is file:line."""

    type: str
    function: str
    where: str
    is_async: bool
    model: str


class Report(NamedTuple):
    """What a processors file or package holds, and what is wrong with it, each problem as `file:line: why`."""

    processors: tuple[Declared, ...]
    problems: tuple[str, ...]


def load(module: str, registry: Registry) -> None:
    """Import the processors of a function. A failure is kept in the registry: events fail with it, and come again."""
    if not module:
        return
    try:
        importlib.import_module(module)
        registry.failure = None
    except BaseException as error:
        sys.modules.pop(module, None)
        registry.failure = ProcessorError(f"{module} cannot be imported: {type(error).__name__}: {error}")
        logs.error("load", str(registry.failure), stack=logs.stack(error))


def check(path: Path) -> Report:
    """Import a processors file or package and look at what it declares. Runs the user's code, in this interpreter."""
    folder, name = path.resolve().parent, path.stem if path.suffix == ".py" else path.name
    before = {made.type for made in REGISTRY}
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        importlib.import_module(name)
    except SyntaxError as error:
        return Report((), (f"{error.filename}:{error.lineno or 1}: {error.msg}",))
    except ProcessorError as error:
        return Report((), (str(error),))
    except BaseException as error:
        return Report((), (f"{_place(error, path)}: {type(error).__name__}: {error}",))
    finally:
        sys.path.remove(str(folder))
    found = [made for made in REGISTRY if made.type not in before]
    problems = tuple(
        f"{made.where}: {made.function.__name__}: {why}"
        for made in found
        if made.data is not None and (why := models.problem(made.data))
    )
    return Report(
        tuple(
            Declared(made.type, made.function.__name__, made.where, made.is_async, models.name(made.data))
            for made in found
        ),
        problems,
    )


def _place(error: BaseException, path: Path) -> str:
    """file:line of the user's own code that an exception came through last; the path itself if it never reached it."""
    inside = str(path.resolve() if path.is_dir() else path.resolve().parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(inside)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(path)


if __name__ == "__main__":
    import json

    found = check(Path(sys.argv[1]))
    answer: dict[str, Any] = {"processors": [made._asdict() for made in found.processors], "problems": found.problems}
    sys.stdout.write(json.dumps(answer) + "\n")
