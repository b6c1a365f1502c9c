"""Packages that this very interpreter has, as a source for the layer: no download, no network."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rtp.infra.archive import Entry

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def files(requirements: str) -> list[Entry] | None:
    """Files of all packages that pinned requirements name, as (path below site-packages, file).

    None when one of them is not installed in exactly that version, or not in a way that can be copied.
    """
    found: list[Entry] = []
    for name, version in _PIN.findall(requirements):
        entries = _of(name, version)
        if entries is None:
            return None
        found += entries
    return found


def _of(name: str, version: str) -> list[Entry] | None:
    try:
        package = distribution(name)
    except PackageNotFoundError:
        return None
    if package.version != version or not package.files or package.read_text("direct_url.json") is not None:
        return None
    entries = list(_entries(package.files))
    return entries if entries and all(file.is_file() for _, file in entries) else None


def _entries(paths: object) -> Iterator[Entry]:
    for path in paths:  # type: ignore[attr-defined]  # PackagePath has no public type
        if ".." not in path.parts and "__pycache__" not in path.parts:  # scripts are above site-packages
            yield path.as_posix(), Path(str(path.locate()))
