"""What `rtp init` writes: a project that can be tested and deployed as it is, or what a folder with code lacks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtp.config import DEFAULT_PROJECT
from rtp.errors import ConfigError
from rtp.ops import files, scaffold_adopt
from rtp.ops import scaffold_files as texts
from rtp.ops.scaffold_examples import EXAMPLES, Example, Name
from rtp.trust import private

if TYPE_CHECKING:
    from pathlib import Path

    from rtp.ops.scaffold_adopt import Code

_CONFIG, _IGNORE = "rtp.toml", ".gitignore"


@dataclass(frozen=True, slots=True)
class Scaffold:
    """What `rtp init` wrote.

    folder: where. project: name of the project. written: new files, below the folder.
    kept: files that were there and are as they were, below the folder.
    added: files that were there and got lines. adopted: the file or package of the folder's own processors; null where
    the example's are written. others: further files with processors, which are packed only if that one imports them.
    requirements: the file that lists the packages of the folder's code; null without one.
    payload: an event to send first; null without one.
    """

    folder: Path
    project: str
    written: list[str]
    kept: list[str]
    added: list[str] = field(default_factory=list)
    adopted: str | None = None
    others: list[str] = field(default_factory=list)
    requirements: str | None = None
    payload: str | None = None


def write(folder: Path, name: Name = Name.ORDERS) -> Scaffold:
    """Write the files that a project lacks; existing ones are kept. Raises ConfigError, RefusedError for a link.

    A folder with code is adopted: rtp.toml names its processors and requirements, and the example is left out where
    the folder has processors of its own.
    """
    project = project_name(folder.resolve().name)
    example = EXAMPLES[name]
    code = None if (folder / _CONFIG).exists() else scaffold_adopt.code_of(folder)
    adopted = code.path if code is not None else None
    contents = _adopting(project, code) if code is not None and adopted else project_files(project, example, code)
    for file in contents:
        _check_links(folder, folder / file)
    written: list[str] = []
    kept: list[str] = []
    added: list[str] = []
    try:
        for file, content in contents.items():
            path = folder / file
            _make_folder(path.parent)
            if files.create(path, content):
                written.append(file)
            elif file == _IGNORE and _ignore(path):
                added.append(file)
            else:
                kept.append(file)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder} cannot be written: {error.strerror}.",
            hint="Choose another folder.",
            code="file-not-writable",
        ) from None
    payload = f"payloads/{example.payload}.json"
    return Scaffold(
        folder.resolve(),
        project,
        written,
        kept,
        added,
        adopted,
        list(code.others) if code is not None else [],
        code.requirements if code is not None else None,
        payload if payload in written or (not adopted and (folder / payload).is_file()) else None,
    )


def project_files(project: str, example: Example, code: Code | None = None) -> dict[str, str]:
    """Text of each file of a project with an example's processors. code: what the folder has beside them."""
    return {
        _CONFIG: texts.config(project, "processors.py", code.requirements if code is not None else None),
        "processors.py": example.processors,
        **{f"payloads/{name}.json": text for name, text in example.payloads.items()},
        "tests/test_processors.py": example.test,
        "conftest.py": texts.CONFTEST,
        "pyproject.toml": texts.TOOLS,
        "README.md": texts.readme(project, example.payload),
        ".github/workflows/ci.yml": texts.ci(example.payload),
        _IGNORE: "".join(f"{line}\n" for line in texts.IGNORED),
    }


def _adopting(project: str, code: Code) -> dict[str, str]:
    """Text of each file that a folder with processors of its own needs."""
    return {
        _CONFIG: texts.config(project, code.path or "", code.requirements),
        ".github/workflows/rtp.yml": texts.ci(None),
        _IGNORE: "".join(f"{line}\n" for line in texts.IGNORED),
    }


def _ignore(file: Path) -> bool:
    """Add to an existing .gitignore what git must not have: secrets and rtp's own folder.

    Returns whether a line was added. Raises OSError.
    """
    if file.is_symlink() or not file.is_file():
        return False
    text = file.read_text(encoding="utf-8", errors="surrogateescape")
    present = {line.strip().strip("/") for line in text.splitlines()}
    lacking = [line for line in texts.IGNORED if line.strip("/") not in present]
    if lacking:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(("\n" if text and not text.endswith("\n") else "") + "".join(f"{line}\n" for line in lacking))
    return bool(lacking)


def _check_links(folder: Path, file: Path) -> None:
    """Refuse a folder below this one that is a link: what is written in it would be elsewhere. Raises RefusedError."""
    for each in file.parents:
        if each == folder:
            return
        if each.is_symlink():
            raise private.link_refusal(each)


def _make_folder(folder: Path) -> None:
    """Create a folder and those above it, which no other user can write, whatever the umask is. Raises OSError."""
    for each in reversed((folder, *folder.parents)):
        if not each.exists():
            each.mkdir()
            each.chmod(each.stat().st_mode & 0o755)


def project_name(folder: str) -> str:
    """A name that AWS accepts for resources, from a folder's name; the default where no character of it is usable."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).lstrip("-0123456789")[:20].rstrip("-")
    return name or DEFAULT_PROJECT
