"""Noticing saves, on the real file system."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import pytest

from rtp.config import Environment
from rtp.infra import packing
from rtp.ops.stack.code import watch
from rtp.ops.stack.code.watch import Watched
from rtp.ops.stack.code.watched import watched as watched_of
from rtp.ops.work import background

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0


class Folder:
    """A package and an rtp.toml in a folder, watched by a thread."""

    def __init__(self, root: Path, *, force_polling: bool | None = None) -> None:
        self.root = root
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
        files = Watched(
            (self.package, self.config), partial(packing.is_ignored, packing.Sources(self.package, self.root))
        )
        for names in watch.changes(lambda: files, force_polling=force_polling):
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
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Folder]:
    project = Folder(tmp_path, force_polling=request.param)
    yield project
    project.close()
    project.config.write_text("over")


def test_what_was_saved_before_watching_began_is_a_change_since_then(tmp_path: Path) -> None:
    # Given files as a first deploy read them, and a save while it ran
    module = tmp_path / "processors.py"
    module.write_text("deployed")
    files = Watched((module,))
    deployed = watch.snapshot(files)
    module.write_text("saved meanwhile")
    # Then watching begins with that save
    assert next(watch.changes(lambda: files, since=deployed)) == (str(module),)


def test_a_saved_a_new_and_a_deleted_file_are_changes(watched: Folder) -> None:
    module = watched.package / "orders.py"
    module.write_text("new")
    watched.until(module)
    module.write_text("longer")
    watched.until(module)
    module.unlink()
    watched.until(module)


def test_a_save_by_rename_is_a_change(watched: Folder) -> None:
    for target in (watched.package / "__init__.py", watched.config):
        for text in ("renamed", "renamed again"):
            draft = target.with_name(f"{target.name}.tmp")
            draft.write_text(text)
            draft.rename(target)
            watched.until(target)


def test_files_of_a_new_folder_are_changes(watched: Folder) -> None:
    folder = watched.package / "inner" / "deep"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("first")
    watched.until(folder / "a.py")
    (folder / "a.py").write_text("second")
    watched.until(folder / "a.py")


def test_a_package_that_is_deleted_and_created_again_is_watched_on(watched: Folder) -> None:
    module = watched.package / "__init__.py"
    shutil.rmtree(watched.package)
    watched.until(module)
    watched.package.mkdir()
    module.write_text("back")
    watched.until(module)
    module.write_text("back, and changed")
    watched.until(module)


def test_caches_logs_files_of_editors_and_files_outside_the_project_are_no_changes(
    watched: Folder, tmp_path: Path
) -> None:
    cache = watched.package / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".rtp").mkdir()
    for name in (".#orders.py", "#orders.py#", "orders.py~", ".orders.py.swp", "4913", "app.log", "test_orders.py"):
        (watched.package / name).write_text("x")
    module = watched.package / "orders.py"
    module.write_text("new")
    assert watched.until(module) <= {str(module), str(watched.config)}


def test_everything_that_decides_a_deploy_is_watched(tmp_path: Path) -> None:
    # Given a module with another one beside it, a data file, and requirements that include a file and name a folder
    (tmp_path / "processors.py").write_text("import rates\nTABLE = 'table.json'\n")
    for name in ("rates.py", "table.json", "unused.py", "rtp.toml", "processors.log"):
        (tmp_path / name).write_text("")
    (tmp_path / "requirements.txt").write_text("-r base.txt\n./lib\n")
    (tmp_path / "base.txt").write_text("-c 'limits.txt'\n")
    (tmp_path / "limits.txt").write_text("")
    (tmp_path / "lib").mkdir()
    environment = Environment(
        name="local",
        root=tmp_path,
        file=tmp_path / "rtp.toml",
        processors=tmp_path / "processors.py",
        requirements=tmp_path / "requirements.txt",
    )
    # Then what is packed, and every file that decides which packages are, is watched, and nothing else
    assert {path.name for path in watched_of(environment).paths} == {
        *("rtp.toml", "processors.py", "rates.py", "table.json"),
        *("requirements.txt", "base.txt", "limits.txt", "lib"),
    }
    # And a file that others can write is refused by the deploy, and does not end the watch
    (tmp_path / "base.txt").chmod(0o666)
    assert tmp_path / "requirements.txt" in watched_of(environment).paths


def test_a_file_that_a_save_brings_into_the_watch_starts_no_second_deploy(tmp_path: Path) -> None:
    # Given a watch of one module, and another one that was written before
    module, beside = tmp_path / "processors.py", tmp_path / "rates.py"
    beside.write_text("old")
    module.write_text("first")
    files = Watched((module,))
    changes = watch.changes(lambda: files, since=watch.snapshot(files), force_polling=True)
    module.write_text("import rates")
    assert next(changes) == (str(module),)
    # When the deploy of that save has found that the other one is packed too
    files = Watched((module, beside))
    module.write_text("import rates, and more")
    # Then only what was saved since then is a change
    assert next(changes) == (str(module),)
    beside.write_text("new, and longer")
    assert next(changes) == (str(beside),)


def test_the_file_that_extends_the_stack_is_watched_too(tmp_path: Path) -> None:
    # Given an environment with an extension that was not synthesised yet
    extension = tmp_path / "infra.py"
    extension.write_text("")
    files = watched_of(Environment(name="local", root=tmp_path, file=tmp_path / "rtp.toml", extend=extension))
    assert files.paths == (tmp_path / "rtp.toml", extension)
    # When it is saved again and again / Then watching reports it
    saves = threading.Event()

    def save() -> None:
        number = 0
        while not saves.wait(0.2):
            number += 1
            extension.write_text(f"# {number}")

    background.start(save)
    try:
        assert next(watch.changes(lambda: files)) == (str(extension),)
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
files = watch.Watched((pathlib.Path(sys.argv[1]),))
found = watch.changes(lambda: files)
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
