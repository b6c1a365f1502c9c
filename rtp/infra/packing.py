"""Which of the user's files go into the functions' zip: the processors, what they import, and what they name.

From a file or a package: itself, the modules and packages beside it that it imports, directly or through others, and
the data files beside it whose names stand in the code. From a source folder: all of it. `include` adds, `exclude`
takes away, and what must never leave the machine is packed only where `include` names it.
"""

from __future__ import annotations

import ast
import os
import re
import stat
from dataclasses import dataclass, field
from fnmatch import fnmatch, translate
from typing import TYPE_CHECKING

from rtp.errors import ConfigError
from rtp.trust import project

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rtp.infra.archive import Entry

_CACHES = (
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".tox",
    ".nox",
    ".ipynb_checkpoints",
    ".rtp",
    "cdk.out",
    "*.egg-info",
)
_REPOSITORIES = (".git", ".hg", ".svn", "node_modules")
_TESTS = ("tests", "test", "test_*.py", "*_test.py", "conftest.py")
_EDITORS = (".#*", "#*#", "*~", ".*.sw?", "4913", "*.bak", "*.orig", "*.tmp", ".DS_Store", "*.pyc", "*.pyo")
_LOGS = ("*.log", "*.log.[0-9]*", "nohup.out")
# What gives access to something; named when it would have been packed.
_SECRETS = (".env", ".env.*", ".aws", ".ssh", ".gnupg", ".netrc", ".pypirc", ".npmrc", ".docker", ".kube")
_KEYS = ("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.ppk", "*.kdbx")
_KEY_TEXTS = ("*.pem", "*.key", "*.crt", "*.cer")
_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_FILE_NAME = re.compile(r"[^\s<>|:\"?*]{1,200}\.[A-Za-z0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Sources:
    """The user's code: `path` of `[processors]`, and globs relative to the folder that the zip is made from.

    project: the folder of rtp.toml; links that lead out of it are not followed.
    """

    path: Path
    project: Path
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether it is a source folder, whose modules are at the root of the zip, and not a package."""
        return self.path.is_dir() and not (self.path / "__init__.py").is_file()

    @property
    def root(self) -> Path:
        """The folder that is the root of the zip."""
        return self.path if self.is_folder else self.path.parent


@dataclass(slots=True)
class Selection:
    """What is packed, sorted, as (path in the zip, file); notes: one line for each thing left out that one may miss."""

    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def select(sources: Sources) -> Selection:
    """Choose the files.

    Raises ConfigError for a link that leads nowhere, RefusedError for what another user can write.
    """
    walk = _Walk(sources)
    if sources.is_folder:
        chosen = dict(walk.below(sources.root))
    else:
        chosen = _reachable(sources, walk)
        chosen |= _named_data(sources, walk, chosen)
    for pattern in sources.include:
        chosen |= walk.matching(pattern)
    kept = {name: file for name, file in chosen.items() if not _matches(name, sources.exclude)}
    project.check_code(sources.project, sources.root, kept.values())
    return Selection(sorted(kept.items()), walk.notes)


_LEFTOVER = re.compile("|".join(translate(p) for p in (*_CACHES, *_REPOSITORIES, ".venv", *_EDITORS, *_LOGS)))
_TEST = re.compile("|".join(map(translate, _TESTS)))


def is_ignored(sources: Sources | None, path: str) -> bool:
    """Whether a file or folder is never packed unless `include` names it, so that a change of it changes nothing.

    Caches, repositories, logs and editors' lock, swap and backup files; of the user's code also tests and `exclude`.
    """
    name = os.path.basename(path)  # noqa: PTH119 - for thousands of files, at every signal of a watch
    if _LEFTOVER.match(name):
        return True
    if sources is None or not path.startswith(f"{sources.path}{os.sep}"):
        return False
    return _TEST.match(name) is not None or (
        bool(sources.exclude) and _matches(os.path.relpath(path, sources.root), sources.exclude)
    )


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is never packed unless `include` names it."""
    return _LEFTOVER.match(name) is not None or _TEST.match(name) is not None


class _Walk:
    """Walks below the root of the zip, follows links inside the project, and notes what it leaves out."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._project = sources.project.resolve()
        self.notes: list[str] = []

    def below(self, folder: Path) -> Iterator[Entry]:
        """Every file below a folder that may be packed."""
        yield from self._below(folder, frozenset({folder.resolve()}))

    def one(self, file: Path) -> Iterator[Entry]:
        """One file, when it may be packed."""
        if self._may_pack(file):
            yield self._name(file), file

    def matching(self, pattern: str) -> dict[str, Path]:
        """What an `include` names, secrets and tests too; those are noted."""
        found: dict[str, Path] = {}
        for path in sorted(self._sources.root.glob(pattern.rstrip("/"))):
            files = [file for _, file in self.below(path)] if path.is_dir() else [path]
            for file in files:
                if self._is_regular(file) and self._is_inside(file):
                    found[self._name(file)] = file
                    if _is_secret(file) or _matches(self._name(file), _SECRETS):
                        self._note(file, "is packed, since `include` names it; it looks like a secret")
        return found

    def _below(self, folder: Path, above: frozenset[Path]) -> Iterator[Entry]:
        for entry in sorted(os.scandir(folder), key=lambda e: e.name):
            path = folder / entry.name
            if not self._may_pack(path):
                continue
            if not path.is_dir():
                yield self._name(path), path
                continue
            real = path.resolve()
            if real not in above and not (path / "pyvenv.cfg").exists():
                yield from self._below(path, above | {real})

    def _may_pack(self, path: Path) -> bool:
        name = path.name
        if _matches(self._name(path), self._sources.exclude) or is_left_out(name):
            return False
        if not self._is_inside(path):
            self._note(path, f"leads out of the project, to {path.resolve()}, and is not packed")
            return False
        if path.is_dir():
            if _matches(name, _SECRETS):
                self._note(path, "looks like a secret and is not packed")
                return False
            return True
        if not self._is_regular(path):
            self._note(path, "is no regular file and is not packed")
            return False
        if _is_secret(path):
            self._note(path, "looks like a secret and is not packed")
            return False
        return True

    def _is_inside(self, path: Path) -> bool:
        if ".." in path.relative_to(self._sources.root).parts:  # such a name would lead out of the zip's folder
            return False
        if not path.is_symlink():
            return True
        if not path.exists():
            raise ConfigError(
                f"{path} is a link that leads nowhere, to {path.readlink()}.",
                hint="Remove it, or name it under `exclude` of [processors] in rtp.toml.",
                code="processors",
            )
        return path.resolve().is_relative_to(self._project)

    @staticmethod
    def _is_regular(path: Path) -> bool:
        return stat.S_ISREG(path.stat().st_mode)

    def _name(self, path: Path) -> str:
        return path.relative_to(self._sources.root).as_posix()

    def _note(self, path: Path, what: str) -> None:
        text = f"{self._name(path)} {what}."
        if text not in self.notes:
            self.notes.append(text)


def _reachable(sources: Sources, walk: _Walk) -> dict[str, Path]:
    """The processors, and the modules and packages beside them that are imported, directly or through others."""
    others = beside(sources)
    chosen: dict[str, Path] = {}
    waiting = [sources.path]
    seen = {sources.path}
    while waiting:
        path = waiting.pop()
        added = dict(walk.below(path) if path.is_dir() else walk.one(path))
        chosen |= added
        for name in {name for file in added.values() if file.suffix == ".py" for name in _imports(file)}:
            if (other := others.get(name)) is not None and other not in seen:
                seen.add(other)
                waiting.append(other)
    return chosen


def beside(sources: Sources) -> dict[str, Path]:
    """Modules and packages in the root of the zip by the name that they are imported by."""
    found: dict[str, Path] = {}
    for path in sorted(sources.root.iterdir(), reverse=True):  # a package before a module of its name, as Python has it
        if path.suffix == ".py" and path.is_file():
            found.setdefault(path.stem, path)
        elif path.name.isidentifier() and path.is_dir() and not (path / "pyvenv.cfg").exists():
            found[path.name] = path
    return found


def _imports(file: Path) -> set[str]:
    """First parts of the names that a module imports, wherever the import stands."""
    names: set[str] = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                names.add(node.args[0].value.partition(".")[0])
    return names


def _named_data(sources: Sources, walk: _Walk, chosen: dict[str, Path]) -> dict[str, Path]:
    """Data files beside the processors whose names stand as texts in the code, as in `Path(…) / "rates.json"`."""
    texts = {text for file in chosen.values() if file.suffix == ".py" for text in _texts(file)}
    folders = [sources.root, *(sources.root / text for text in sorted(texts) if _is_folder_name(sources.root, text))]
    found: dict[str, Path] = {}
    for text in sorted(texts):
        if not _FILE_NAME.fullmatch(text) or text.startswith("/"):
            continue
        for folder in folders:
            file = folder / text
            if file.suffix != ".py" and file.is_file():
                found |= walk.one(file)
    return found


def _is_folder_name(root: Path, text: str) -> bool:
    return text.isprintable() and 0 < len(text) < 100 and not text.startswith((".", "/")) and (root / text).is_dir()


def _texts(file: Path) -> Iterator[str]:
    return (n.value for n in ast.walk(_tree(file)) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def parsed(text: bytes, file: Path) -> ast.Module:
    """The syntax tree of a module. Raises SyntaxError, also where it is nested too deeply, and ValueError."""
    try:
        return ast.parse(text, filename=str(file))
    except (RecursionError, MemoryError):
        raise SyntaxError("nested too deeply") from None


def _tree(file: Path) -> ast.AST:
    """A module's syntax tree; an empty one where it has none, which the check of the processors reports."""
    try:
        return parsed(file.read_bytes(), file)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a path in the zip, its last part, or a folder above it is named by a pattern."""
    parts = name.split("/")
    above = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    return any(fnmatch(candidate, pattern.rstrip("/")) for pattern in patterns for candidate in (*above, parts[-1]))


def _is_secret(file: Path) -> bool:
    if _matches(file.name, (*_SECRETS, *_KEYS)):
        return True
    if not _matches(file.name, _KEY_TEXTS):
        return False
    return _KEY.search(file.read_bytes()[:1_000_000]) is not None
