"""Load typer's help without what it loads beside: Markdown, tracebacks and attrs are most of the time of `--help`.

typer.rich_utils imports rich.markdown and rich.traceback for modes that rtp does not use. While that module is being
imported, classes stand in for theirs, which import the real ones when somebody makes an instance of one. Another typer
whose module cannot be made with them gets the real modules.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from importlib.machinery import PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

# Module -> modules that are replaced during its import: by the named classes, or by none, as if it were not installed.
REPLACED: dict[str, dict[str, tuple[str, ...] | None]] = {
    "typer.rich_utils": {"rich.markdown": ("Markdown",), "rich.traceback": ("Traceback",)},
    "rich.pretty": {"attr": None},  # rich shows attrs classes in its own way; rtp shows none
}


class _OnDemand(type):
    """Class of the classes that stand in; each imports its original when it is called or asked for an attribute."""

    def original(cls) -> Any:
        return getattr(importlib.import_module(cls.__module__), cls.__name__)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.original()(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.original(), name)

    def __instancecheck__(cls, instance: object) -> bool:
        loaded = sys.modules.get(cls.__module__)
        return loaded is not None and isinstance(instance, getattr(loaded, cls.__name__))


def install() -> None:
    """Find the modules of REPLACED here from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the modules as Python does, and gives them a loader that replaces what they import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in REPLACED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, REPLACED[fullname])  # type: ignore[assignment]  # has its methods
        return spec


class _Loader:
    """Runs a module as its own loader does."""

    def __init__(self, own: Loader, replaced: Mapping[str, tuple[str, ...] | None]) -> None:
        self._own = own
        self._replaced = replaced

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        own = dict(vars(module))
        try:
            with _replaced(self._replaced):
                self._own.exec_module(module)
        except Exception:  # another version uses more of a module than its replacement has: then with the real ones
            vars(module).clear()
            vars(module).update(own)
            self._own.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


@contextmanager
def _replaced(modules: Mapping[str, tuple[str, ...] | None]) -> Iterator[None]:
    """Replace the modules that are not loaded yet, and forget the replacements at the end."""
    absent = [name for name in modules if name not in sys.modules]
    for name in absent:
        sys.modules[name] = _stand_in(name, modules[name])  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _stand_in(name: str, classes: tuple[str, ...] | None) -> ModuleType | None:
    """A module with classes that stand in; None, which Python takes for a module that does not exist."""
    if classes is None:
        return None
    module = ModuleType(name)
    for one in classes:
        setattr(module, one, _OnDemand(one, (), {"__module__": name}))
    return module
