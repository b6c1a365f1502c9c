"""The packages of this interpreter as a source for the layer, without any download."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rtp.infra.archive import Entry

_ASKED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)


def files(requirements: str) -> list[Entry] | None:
    """Files of all packages that pinned requirements name, in the version that is installed here.

    As (path below site-packages, file). None where a package is not installed, or cannot be copied.
    """
    found: list[Entry] = []
    for name in _PIN.findall(requirements):
        entries = _of(name)
        if entries is None:
            return None
        found += entries
    return found


def names(requirements: str) -> list[str]:
    """Names of the distributions that pinned requirements name."""
    return [str(name) for name in _PIN.findall(requirements)]


def top_levels(distributions: Iterable[str]) -> frozenset[str]:
    """Names that installed distributions, and those that they require, are imported by."""
    waiting, seen, found = list(distributions), set[str](), set[str]()
    while waiting:
        requirement = waiting.pop()
        name, extras = _parts(requirement)
        if requirement in seen or not name:
            continue
        seen.add(requirement)
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found |= {path.parts[0].partition(".")[0] for path in package.files or () if path.parts[0] != ".."}
        for text in package.requires or ():
            # Other markers are not evaluated: what does not apply here is not installed.
            extra = _EXTRA.search(text)
            if extra is None or extra[1] in extras:
                waiting.append(text.partition(";")[0])
    return frozenset(found)


def _parts(requirement: str) -> tuple[str, frozenset[str]]:
    """Name and extras of a requirement."""
    asked = _ASKED.match(requirement)
    if asked is None:
        return "", frozenset()
    return asked[1], frozenset(re.findall(r"[A-Za-z0-9._-]+", asked[2] or ""))


def _of(name: str) -> list[Entry] | None:
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return None
    if not package.files or package.read_text("direct_url.json") is not None:
        return None
    entries = list(_entries(package.files))
    return entries if entries and all(file.is_file() for _, file in entries) else None


def _entries(paths: object) -> Iterator[Entry]:
    for path in paths:  # type: ignore[attr-defined]  # PackagePath has no public type
        if ".." not in path.parts and "__pycache__" not in path.parts:  # scripts are above site-packages
            yield path.as_posix(), Path(str(path.locate()))
