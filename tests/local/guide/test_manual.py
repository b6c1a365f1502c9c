"""The tutorial and the how-to pages: each file is written, each local command runs, in a fresh folder for each page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rtp.local import engine as engines
from rtp.ops import manual
from tests import manual_blocks
from tests.local.conftest import Project
from tests.manual_blocks import Command, File

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TESTED_ALONE = {"your-code", "processors", "ci"}  # test_your_code.py, test_ci.py


def is_run(topic: str) -> bool:
    blocks = manual_blocks.blocks(manual.folder() / f"{topic}.md")
    return any(isinstance(each, Command) and each.is_local for each in blocks)


TOPICS = [
    topic
    for topic, page in manual.PAGES.items()
    if page.kind in (manual.Kind.TUTORIAL, manual.Kind.HOW_TO) and topic not in TESTED_ALONE and is_run(topic)
]


# What takes more than ten seconds; other tests run the commands of these pages, and test_readme.py a first deploy.
WALKED_FOR_LONG = {"tutorial", "incident", "load", "moving", "drill"}


class Reader:
    """Somebody who follows a page: writes its files, types its commands, and takes ids from the output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folders = [folder]
        self._id = ""

    def follow(self, block: File | Command) -> None:
        if isinstance(block, File):
            file = self.folder / block.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.is_local:
            self._run(block)

    def _run(self, command: Command) -> None:
        program, *words = [word.replace("ID", self._id) if word.endswith("ID") else word for word in command.words]
        if program == "cd":
            self.folder = self.folder / words[0]
            self.folders.append(self.folder)
            return
        done = Project(self.folder).rtp(*words, ok=False)
        printed = done.stdout + done.stderr
        assert done.code == command.exit_code, f"{command.line}: {done.code}\n{printed}"
        assert manual_blocks.matches(command.output, printed), f"{command.line}\n{printed}"
        self._id = manual_blocks.last_id(printed) or self._id


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    person = Reader(tmp_path)
    yield person
    for folder in person.folders:
        engines.stop(folder)


@pytest.mark.parametrize(
    "topic", [pytest.param(topic, marks=pytest.mark.long if topic in WALKED_FOR_LONG else ()) for topic in TOPICS]
)
def test_every_command_of_the_page_runs(reader: Reader, topic: str) -> None:
    for block in manual_blocks.blocks(manual.folder() / f"{topic}.md"):
        reader.follow(block)


def test_the_pages_that_are_run_are_these() -> None:
    assert {"tutorial", "incident", "load", "moving"} <= set(TOPICS)
