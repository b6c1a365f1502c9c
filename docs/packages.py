"""Write docs/packages.md: which version of each common package the layer gets, on both architectures.

`python -m docs.packages [NAME…]` resolves and installs each for Lambda, as a deploy does; it needs the package index,
and minutes. It is not part of `make docs`, since the newest versions change without a change here.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from rtp.config.settings import Architecture
from rtp.errors import RtpError
from rtp.infra import layer
from rtp.infra.requirements import Requirements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = Path(__file__).with_name("packages.md")
PACKAGES = (
    "cryptography",
    "duckdb",
    "lxml",
    "numpy",
    "orjson",
    "pandas",
    "psycopg[binary]",
    "pyarrow",
    "pydantic",
    "scikit-learn",
    "scipy",
    "shapely",
)
ARCHITECTURES: tuple[str, ...] = get_args(Architecture)
_INTRODUCTION = """\
# Packages that the layer can hold

What a deploy resolves for Lambda: Python {python} on Amazon Linux 2023 (glibc 2.34), wheels only, each package alone in
`[processors] requirements`. Written by `python -m docs.packages`, which resolves and installs each one, on {day}.
The size is that of the package with all that it requires, unpacked, without rtp's own; Lambda takes 250 MB of code and
layers together.

| package | {headings} |
| --- |{rules}
"""


class Tried(NamedTuple):
    """One package on one architecture. version: empty where it does not resolve. size: bytes, or the reason."""

    version: str
    size: int
    reason: str = ""

    def __str__(self) -> str:
        size = f"{self.size / 1e6:,.0f} MB" if self.size >= 1e6 else "under 1 MB"
        return f"{self.version}, {size}" if self.version else f"no: {self.reason}"


def tried(package: str, architecture: str) -> Tried:
    """Build a layer with a package, and look at what is in it."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "requirements.txt")
        file.write_text(f"{package}\n")
        platform = layer.Platform.aws(architecture)
        try:
            built = layer.build(Path(scratch, "layers"), platform, Requirements(file))
        except RtpError as error:
            return Tried("", 0, error.message)
        name = re.sub(r"[-.]", "_", package.partition("[")[0])
        own = layer.sizes(layer.build(Path(scratch, "layers"), platform, None))
        size = sum(bytes for top, bytes in layer.sizes(built).items() if top not in own)
        with zipfile.ZipFile(built) as packed:
            found = (re.match(rf"python/{name}-([^/]+)\.dist-info/", each, re.IGNORECASE) for each in packed.namelist())
            return Tried(next(match[1] for match in found if match), size)


def page(packages: Sequence[str]) -> Iterator[str]:
    """The page, row by row."""
    yield _INTRODUCTION.format(
        python=layer.PYTHON,
        day=datetime.now(UTC).date(),
        headings=" | ".join(ARCHITECTURES),
        rules=" --- |" * len(ARCHITECTURES),
    )
    for package in packages:
        cells = [str(tried(package, architecture)) for architecture in ARCHITECTURES]
        yield f"| {package} | {' | '.join(cells)} |\n"


def main(argv: list[str]) -> int:
    """Try packages and write the page; with names try only these and print them."""
    rows = []
    for row in page(argv or PACKAGES):
        sys.stdout.write(row)
        sys.stdout.flush()
        rows.append(row)
    if not argv:
        PAGE.write_text("".join(rows), encoding="utf-8")
    return int(any("| no: " in row for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
