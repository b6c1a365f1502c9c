"""Import and check the user's processors.

`load` is for functions. `check` is for `rtp deploy`, which calls it in a child interpreter because importing a module
runs it, and for `rtp run`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

from rtp.runtime import logs, models
from rtp.runtime.registry import REGISTRY, ProcessorError

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.runtime.registry import Processor, Registry


class Report(NamedTuple):
    """The processors that a file or package declares, and its problems, each as `file:line: reason`."""

    processors: tuple[Processor, ...]
    problems: tuple[str, ...]


def load(module: str, registry: Registry) -> None:
    """Import the processors of a function. The registry stores a failure: events fail with it and are retried."""
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
    """Import a processors file or package and check what it declares. Runs the user's code in this interpreter."""
    folder, name = path.resolve().parent, path.stem if path.suffix == ".py" else path.name
    before = {processor.type for processor in REGISTRY}
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
    declared = tuple(processor for processor in REGISTRY if processor.type not in before)
    problems = (
        f"{processor.where}: {processor.function.__name__}: {why}"
        for processor in declared
        if processor.data is not None and (why := models.problem(processor.data))
    )
    return Report(declared, tuple(problems))


def _place(error: BaseException, path: Path) -> str:
    """Return file:line of the last frame in the user's code, or the path if no frame is in it."""
    inside = str(path.resolve() if path.is_dir() else path.resolve().parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(inside)]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else str(path)
