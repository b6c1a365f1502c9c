"""The changelog is grouped by area for those who use rtp; each area stands once in a version."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[3] / "CHANGELOG.md").read_text("utf-8")
AREAS = [
    "In short",
    "Deploy and destroy",
    "Your code and settings",
    "Send",
    "Read",
    "Repair",
    "The command line",
    "The local engine",
    "The functions",
    "Security and access",
    "Docs",
]


def test_each_version_has_the_areas_in_their_order_and_once() -> None:
    for version in re.split(r"(?m)^## ", TEXT)[1:]:
        headings = re.findall(r"(?m)^### (.*)$", version)
        assert headings == [area for area in AREAS if area in headings]


def test_no_line_stands_twice() -> None:
    entries = [" ".join(entry.split()) for entry in re.split(r"(?m)^(?:- |#+ )", TEXT)]
    assert len(entries) == len(set(entries))
