"""docs/architecture.md names every room and dependency that exists, and no other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text of a section of the page."""
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_room_is_described_and_every_described_room_exists() -> None:
    packages = {f"{path.parent.relative_to(ROOT).as_posix()}/" for path in (ROOT / "rtp").rglob("__init__.py")}
    assert {room.strip("`") for room, _ in rows("Floors and rooms")} == packages - {"rtp/"}


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["local"]]
    names = [re.split(r"[\[<>=~!; ]", requirement)[0] for requirement in requirements]
    assert sorted(name.strip("`") for name, _ in rows("Dependencies")) == sorted(names)


def test_the_glossary_has_20_to_25_terms_each_once() -> None:
    terms = [term for term, _, _ in rows("Glossary")]
    assert 20 <= len(terms) <= 25
    assert len(set(terms)) == len(terms)


def test_every_path_on_the_page_exists() -> None:
    paths = re.findall(r"`((?:rtp|tests|docs|bench|checks)/[\w./-]*)`", PAGE)
    assert [path for path in paths if not (ROOT / path).exists()] == []
