"""The common packages that the layer can hold: the page has them all, and a few are resolved again."""

from __future__ import annotations

import re

import pytest

from docs import packages
from rtp.infra import layer


def test_the_page_has_every_package_on_both_architectures() -> None:
    page = packages.PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (\S+) \| (.*) \|$", page, re.MULTILINE))
    assert [name for name in packages.PACKAGES if name not in rows] == []
    for name in packages.PACKAGES:
        assert re.fullmatch(r"[\w.]+, (under 1|[\d,]+) MB \| [\w.]+, (under 1|[\d,]+) MB", rows[name]), (
            f"{name}: {rows[name]}"
        )
    assert f"Python {layer.PYTHON} " in page  # else run `python -m docs.packages`


@pytest.mark.reliability
@pytest.mark.parametrize("package", ["orjson", "pydantic", "psycopg[binary]"])
@pytest.mark.parametrize("architecture", packages.ARCHITECTURES)
def test_a_package_resolves_at_its_newest_version(package: str, architecture: str) -> None:
    found = packages.tried(package, architecture)
    assert (found.reason, bool(found.version)) == ("", True)
