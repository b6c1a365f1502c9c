"""Noticing saves, on the real file system."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import pytest

from rtp.commands.deploy import _watched
from rtp.config import Environment
from rtp.ops.stack.code import watch
from rtp.ops.work import background

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0


class Watched:
    """A package and an rtp.toml in a folder, watched by a thread."""

    def __init__(self, root: Path, *, force_polling: bool | None = None) -> None:
        self.package = root / "processors"
        self.config = root / "rtp.toml"
        self.package.mkdir()
        (self.package / "__init__.py").write_text("first")
        self._changes: SimpleQueue[tuple[str, ...]] = SimpleQueue()
        self._over = False
        background.start(self._watch, force_polling)
        self._wait_until_watching()

    def until(self, *paths: Path) -> set[str]:
        """Wait until all of these have changed. Returns everything that has."""
        names: set[str] = set()
        while not names >= set(map(str, paths)):
            names.update(self._changes.get(timeout=PATIENCE_S))
        return names

    def close(self) -> None:
        self._over = True

    def _watch(self, force_polling: bool | None) -> None:
        for names in watch.changes(lambda: [self.package, self.config], force_polling=force_polling):
            if self._over:
                return
            self._changes.put(names)

    def _wait_until_watching(self) -> None:
        for number in range(600):
            self.config.write_text(f"# {number}")
            with suppress(Empty):
                self._changes.get(timeout=0.5)
                return
        pytest.fail("nothing is watched")


@pytest.fixture(params=[None, True], ids=["events", "polling"])
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    project = Watched(tmp_path, force_polling=request.param)
    yield project
    project.close()
    project.config.write_text("over")


def test_what_was_saved_before_watching_began_is_a_change_since_then(tmp_path: Path) -> None:
    # Given files as a first deploy read them, and a save while it ran
    module = tmp_path / "processors.py"
    module.write_text("deployed")
    deployed = watch.snapshot([module])
    module.write_text("saved meanwhile")
    # Then watching begins with that save
    assert next(watch.changes(lambda: [module], since=deployed)) == (str(module),)


def test_a_saved_a_new_and_a_deleted_file_are_changes(watched: Watched) -> None:
    module = watched.package / "orders.py"
    module.write_text("new")
    watched.until(module)
    module.write_text("longer")
    watched.until(module)
    module.unlink()
    watched.until(module)


def test_a_save_by_rename_is_a_change(watched: Watched) -> None:
    for target in (watched.package / "__init__.py", watched.config):
        for text in ("renamed", "renamed again"):
            draft = target.with_name(f"{target.name}.tmp")
            draft.write_text(text)
            draft.rename(target)
            watched.until(target)


def test_files_of_a_new_folder_are_changes(watched: Watched) -> None:
    folder = watched.package / "inner" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("first")
    watched.until(folder / "a.py")
    (folder / "a.py").write_text("second")
    watched.until(folder / "a.py")


def test_a_package_that_is_deleted_and_created_again_is_watched_on(watched: Watched) -> None:
    module = watched.package / "__init__.py"
    shutil.rmtree(watched.package)
    watched.until(module)
    watched.package.mkdir()
    module.write_text("back")
    watched.until(module)
    module.write_text("back, and changed")
    watched.until(module)


def test_caches_and_files_outside_the_project_are_no_changes(watched: Watched, tmp_path: Path) -> None:
    cache = watched.package / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".rtp").mkdir()
    module = watched.package / "orders.py"
    module.write_text("new")
    assert watched.until(module) <= {str(module), str(watched.config)}


def test_the_file_that_extends_the_stack_is_watched_too(tmp_path: Path) -> None:
    # Given an environment with an extension that was not synthesised yet
    extension = tmp_path / "infra.py"
    extension.write_text("")
    paths = _watched(Environment(name="local", root=tmp_path, file=tmp_path / "rtp.toml", extend=extension))
    assert paths == [tmp_path / "rtp.toml", extension]
    # When it is saved again and again / Then watching reports it
    saves = threading.Event()

    def save() -> None:
        number = 0
        while not saves.wait(0.2):
            number += 1
            extension.write_text(f"# {number}")

    background.start(save)
    try:
        assert next(watch.changes(lambda: paths)) == (str(extension),)
    finally:
        saves.set()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_signal_ends_watching_as_its_handler_says(tmp_path: Path, number: signal.Signals, code: int) -> None:
    script = """
import pathlib, signal, sys
from rtp.ops.stack.code import watch

def terminate(*_):
    sys.exit(143)

signal.signal(signal.SIGTERM, terminate)
signal.signal(signal.SIGINT, signal.default_int_handler)
found = watch.changes(lambda: [pathlib.Path(sys.argv[1])])
(pathlib.Path(sys.argv[1]) / "watching").touch()
print("watching", flush=True)
for names in found:
    print(names, flush=True)
"""
    argv = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "watching\n"
        child.send_signal(number)
        assert child.wait(timeout=PATIENCE_S) == code
