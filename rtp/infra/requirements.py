"""The user's requirements: what they name on this machine, and their resolution to a list that uv can install.

A requirements file in every form that uv takes, a pyproject.toml, a pylock.toml or a uv.lock.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from rtp.errors import ConfigError
from rtp.infra import archive, uv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_INCLUDE = re.compile(r"^(?:-r|--requirement|-c|--constraint)(?:\s+|\s*=\s*|(?=\S))(.+)$")
_OPTION = re.compile(r"^(?:-e|--editable|-f|--find-links)(?:\s+|\s*=\s*|(?=\S))(.+)$")
_DIRECT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*@\s*(.+)$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_ASKED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?")
_EXTRAS = re.compile(r"\[[^\[\]]*\]$")
_PURE = "-none-any.whl"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What `[processors]` names: a file, and extras and dependency groups where the file is a project's.

    pins: versions that are taken where the file leaves a choice, as `name==version`. without: names of packages that
    are left out, whoever asks for them.
    """

    file: Path
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    pins: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def is_lock(self) -> bool:
        """Whether uv installs from the file as it is: a pylock.toml."""
        return self.file.suffix == ".toml" and self.file.name.split(".")[0] == "pylock"

    @property
    def is_uv_lock(self) -> bool:
        """Whether it is uv's own lock file."""
        return self.file.name == "uv.lock"

    @property
    def is_project(self) -> bool:
        """Whether it is a pyproject.toml."""
        return self.file.name == "pyproject.toml"

    def contents(self) -> Iterator[bytes]:
        """All that decides what is installed: the texts, and the bytes of the local files and folders they name."""
        for choice in (*self.extras, "", *self.groups, "", *self.pins, "", *self.without):
            yield choice.encode()
        if self.file.suffix in (".toml", ".lock"):
            yield _read(self.file)
        else:
            yield from _contents(self.file, self.file.parent, [])

    def files(self) -> list[Path]:
        """The file itself, the files that it includes, and the local files and folders that they name."""
        if self.file.suffix in (".toml", ".lock"):
            return [self.file]
        seen: list[Path] = []
        named = list(_named(self.file, self.file.parent, seen))
        return [*seen, *named]

    def names(self) -> list[str]:
        """Names, with extras, of the distributions that the file and those it includes ask for."""
        out = {normalised(name) for name in self.without}
        return [name for name in self._asked() if normalised(name.partition("[")[0].strip()) not in out]

    def _asked(self) -> list[str]:
        if not self.is_project:
            return list(_names(self.file, []))
        project = tomllib.loads(_read(self.file).decode(errors="replace"))
        tables = project.get("project", {})
        lists = [tables.get("dependencies", [])]
        lists += [tables.get("optional-dependencies", {}).get(name, []) for name in self.extras]
        lists += [_grouped(project.get("dependency-groups", {}), name, []) for name in self.groups]
        return [asked[0] for each in lists for text in each if (asked := _ASKED.match(text))]

    def leaving_out(self, pins: tuple[str, ...]) -> Requirements:
        """The same without these pinned packages."""
        names = tuple(pin.partition("==")[0] for pin in pins)
        rest = tuple(pin for pin in self.pins if pin not in pins)
        return replace(self, pins=rest, without=(*self.without, *names))

    @property
    def choices(self) -> tuple[str, ...]:
        """Arguments of uv for the extras and groups."""
        extras = [part for name in self.extras for part in ("--extra", name)]
        return (*extras, *(part for name in self.groups for part in ("--group", name)))

    def constraints(self, scratch: Path) -> tuple[str, ...]:
        """Arguments of uv for the pins and for what is left out, which it reads from files in scratch."""
        nowhere = tuple(f"{name} ; python_version < '3'" for name in self.without)
        arguments: list[str] = []
        for option, lines in (("--constraint", self.pins), ("--override", nowhere)):
            if lines:
                file = scratch / f"{option.strip('-')}.txt"
                file.write_text("\n".join(lines) + "\n")
                arguments += [option, str(file)]
        return tuple(arguments)

    def export(self, scratch: Path, arguments: Sequence[str], constraints: Path, *, pure: bool) -> Path:
        """Resolve to a flat list below scratch, local folders built as wheels. Raises uv.UvError and ConfigError.

        pure: the wheels have to run on another platform than this one.
        """
        if self.is_lock:
            return self.file
        listed = scratch / "lock.txt"
        if self.is_uv_lock:
            self._export_uv_lock(listed)
        else:
            self._compile(listed, arguments, constraints)
        lines = listed.read_text().splitlines()
        listed.write_text("\n".join(self._as_wheel(line, scratch / "wheels", pure=pure) for line in lines) + "\n")
        return listed

    def _compile(self, target: Path, arguments: Sequence[str], constraints: Path) -> None:
        output = ("--generate-hashes", "--no-header", "--no-annotate", "--emit-index-url", "--emit-find-links")
        limits = ("--constraint", str(constraints), *self.constraints(target.parent))
        command = (
            "pip",
            "compile",
            "--quiet",
            *output,
            *arguments,
            *self._built(target.parent),
            *self.choices,
            *limits,
        )
        uv.run(*command, "--output-file", str(target), str(self.file), cwd=self.file.parent)

    def _built(self, scratch: Path) -> Iterator[str]:
        """Arguments by which uv builds the local folders to learn what they require, and no source of an index."""
        for folder in self.files():
            if folder.is_dir() and any((folder / name).is_file() for name in ("pyproject.toml", "setup.py")):
                yield from ("--no-binary", _distribution(folder, scratch))

    def _export_uv_lock(self, target: Path) -> None:
        output = ("--no-header", "--no-annotate", "--no-emit-project", "--no-default-groups", "--no-editable")
        command = ("export", "--quiet", "--frozen", "--format", "requirements.txt", *output, *self.choices)
        uv.run(*command, "--output-file", str(target), cwd=self.file.parent)

    def _as_wheel(self, line: str, wheels: Path, *, pure: bool) -> str:
        """A line that names a local folder or file, with the wheel built from it in its place; others unchanged.

        A relative folder of links becomes absolute: uv reads the list in another folder.
        """
        if line.startswith("--find-links") and (links := _local(line, self.file.parent)) is not None:
            return f"{line.split(maxsplit=1)[0]} {links.resolve().as_uri()}"
        if line.startswith(("-", " ")) and not line.startswith(("-e", "--editable")):
            return line
        path = _local(line, self.file.parent)
        if path is None:
            return line
        marker = line.partition(" ; ")[2]
        if path.is_dir():
            path = _build(path, wheels, pure=pure)
        return f"{path.as_uri()}" + (f" ; {marker}" if marker else "")


def normalised(name: str) -> str:
    """A distribution's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def has_any(file: Path) -> bool:
    """Whether a requirements file of rtp's own names a package at all."""
    return any(line.strip() and not line.lstrip().startswith("#") for line in file.read_text().splitlines())


def _distribution(folder: Path, scratch: Path) -> str:
    """The name of a folder's distribution; where its project does not say it, that of the wheel that it builds."""
    try:
        return str(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return _build(folder, scratch / "named", pure=False).name.partition("-")[0]


def _build(folder: Path, wheels: Path, *, pure: bool) -> Path:
    """Build a folder's wheel. pure: it has to run on another platform than this one."""
    target = wheels / str(len(list(wheels.glob("*"))) if wheels.exists() else 0)
    uv.run("build", "--quiet", "--wheel", "--out-dir", str(target), str(folder))
    wheel = next(target.glob("*.whl"))
    if pure and not wheel.name.endswith(_PURE):
        raise ConfigError(
            f"{folder} has compiled parts: its wheel {wheel.name} would not run on Lambda.",
            hint="Build its wheel for Lambda's platform, and name that wheel in the requirements.",
            code="requirements",
        )
    return wheel


def _contents(file: Path, base: Path, seen: list[Path]) -> Iterator[bytes]:
    """A requirements file's bytes, and those of what its lines name; base: the folder of the first file."""
    if file in seen:
        return
    seen.append(file)
    data = _read(file) if len(seen) == 1 else _read_if_there(file)
    yield data
    for line in _lines(data.decode(errors="replace")):
        if include := _INCLUDE.match(line):
            name = _unquoted(_expanded(include[1]))
            if "://" not in name:
                yield from _contents(file.parent / name, base, seen)
        elif (path := _local(line, file.parent) or _local(line, base)) is not None:
            yield from _bytes_of(path)


def _named(file: Path, base: Path, seen: list[Path]) -> Iterator[Path]:
    """The local files and folders that a requirements file names; `seen` gets it and those that it includes."""
    if file in seen:
        return
    seen.append(file)
    for line in _lines(_read_if_there(file).decode(errors="replace")):
        if include := _INCLUDE.match(line):
            name = _unquoted(_expanded(include[1]))
            if "://" not in name:
                yield from _named(file.parent / name, base, seen)
        elif (path := _local(line, file.parent) or _local(line, base)) is not None:
            yield path


def _names(file: Path, seen: list[Path]) -> Iterator[str]:
    if file in seen:
        return
    seen.append(file)
    for line in _lines(_read_if_there(file).decode(errors="replace")):
        if include := _INCLUDE.match(line):
            yield from _names(file.parent / _unquoted(_expanded(include[1])), seen)
        elif found := _ASKED.match(line):
            yield found[0]


def _grouped(groups: Mapping[str, Any], name: str, seen: list[str]) -> list[str]:
    """Requirements of a dependency group and of those that it includes (PEP 735)."""
    if name in seen:
        return []
    seen.append(name)
    texts: list[str] = []
    for each in groups.get(name, []):
        texts += [each] if isinstance(each, str) else _grouped(groups, str(each.get("include-group", "")), seen)
    return texts


def _bytes_of(path: Path) -> Iterable[bytes]:
    if path.is_file():
        return [path.read_bytes()]
    return (part for name, file in archive.tree(path) for part in (name.encode(), file.read_bytes()))


def _lines(text: str) -> Iterator[str]:
    """Logical lines without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
        if stripped:
            yield stripped


def _local(line: str, base: Path) -> Path | None:
    """The file or folder on this machine that a line names; None where it names something else."""
    option = _OPTION.match(line)
    text = option[1] if option else line
    if direct := _DIRECT.match(text):
        text = direct[1]
    text = _EXTRAS.sub("", _unquoted(_expanded(re.split(r"\s+;\s|\s+--hash", text)[0].strip())))
    if text.startswith("file:"):
        text = unquote(urlsplit(text).path)
    elif "://" in text or not text or text.startswith("-"):
        return None
    elif option is None and not _is_written_as_path(text):
        return None  # a package's name, even where a folder of that name is
    path = base / text
    try:
        return path if path.exists() else None
    except OSError:  # too long, or with characters that no path has
        return None


def _is_written_as_path(text: str) -> bool:
    return any(mark in text for mark in ("/", os.sep)) or text.startswith(".") or text.endswith(".whl")


def _expanded(text: str) -> str:
    """With environment variables in the one form that requirements files know."""
    return _VARIABLE.sub(lambda found: os.environ.get(found[1], found[0]), text)


def _unquoted(text: str) -> str:
    stripped = text.strip()
    return stripped[1:-1] if len(stripped) > 1 and stripped[0] == stripped[-1] and stripped[0] in "\"'" else stripped


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The requirements {file} cannot be read: {error.strerror}.",
            hint="Fix `requirements` under [processors] in rtp.toml.",
            code="requirements",
        ) from error


def _read_if_there(file: Path) -> bytes:
    """An included file; where it cannot be read, uv says so with the line that includes it."""
    try:
        return file.read_bytes() if file.is_file() else b""
    except OSError:
        return b""
