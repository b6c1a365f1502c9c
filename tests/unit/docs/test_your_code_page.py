"""docs/your-code.md: its blocks are files and commands; tests/local/guide/test_your_code.py runs them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = (Path(__file__).parents[3] / "docs" / "your-code.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"^```(?P<language>\w*)(?: (?P<title>\S+))?\n(?:# (?P<name>\S+)\n)?(?P<text>.*?)^```", re.M | re.S)
_BLOCKS = list(_BLOCK.finditer(PAGE))
FILES = {name: block["text"] for block in _BLOCKS if (name := block["name"] or block["title"])}
COMMANDS = [
    line.removeprefix("$ ")
    for block in _BLOCKS
    if block["language"] == "console"
    for line in block["text"].splitlines()
]


def write(root: Path) -> None:
    """Write the page's files to a folder."""
    for name, text in FILES.items():
        file = root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def test_every_block_is_a_file_or_commands() -> None:
    assert len(_BLOCKS) == PAGE.count("```") / 2
    assert [b[0] for b in _BLOCKS if not (b["name"] or b["title"] or b["language"] == "console")] == []
    assert all(line.startswith("$ ") for b in _BLOCKS if b["language"] == "console" for line in b["text"].splitlines())


def test_the_files_are_those_that_the_settings_and_the_code_name() -> None:
    assert set(FILES) == {
        "rtp.toml",
        "processors.py",
        "pricing/__init__.py",
        "countries.json",
        "requirements.txt",
        "infra.py",
        "fill.py",
    }
